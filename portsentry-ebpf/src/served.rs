//! Looks up a packet's destination in the map of served addresses.

use aya_ebpf::btf_maps::LruHashMap;
use portsentry_common::{
    bound::{Below, EVERY_IPV4, EVERY_IPV6, NEEDS_SYN, ServedKey},
    classify::Protocol,
    environment::Served,
};

use crate::maps;

/// The parts of the query other than the address.
#[derive(Clone, Copy)]
pub struct What {
    pub port: u16,
    pub protocol: Protocol,
    pub version: u8,
    pub which: Served,
}

impl What {
    /// Packed into one word, because a BPF function takes at most five arguments.
    #[inline(always)]
    pub const fn packed(self) -> u64 {
        self.port as u64
            | (self.protocol as u64) << 16
            | (self.version as u64) << 24
            | (self.which as u64) << 32
    }
}

/// Whether the map holds the destination with these halves and a stamp later than `horizon`, for packets from
/// `interface` or, if requested, from any. A separate function, because the keys would take room on every caller's
/// stack.
#[inline(never)]
pub fn is_in(high: u64, low: u64, interface: u64, what: u64, horizon: u64) -> u64 {
    let (port, protocol, interface) = (what as u16, (what >> 16) as u8, interface as u32);
    let every = if (what >> 24) as u8 == 4 { EVERY_IPV4 } else { EVERY_IPV6 };
    let which = what >> 32;
    if which == Served::BySyn as u64 {
        let is_later = |address| {
            u64::from(lookup(&maps::SERVED, ServedKey::new(address, NEEDS_SYN, port, protocol))) > horizon
        };
        return u64::from(is_later(every) || is_later([high, low]));
    }
    let is_any = which == Served::All as u64;
    let is_later = |address, interface| {
        let key = ServedKey::new(address, interface, port, protocol);
        let stamp = lookup(&maps::SERVED, if is_any { key } else { key.connected() });
        u64::from(stamp) > horizon
    };
    let found =
        is_later(every, interface) || is_later([high, low], interface) || is_any && is_later([high, low], 0);
    u64::from(found)
}

/// Whether other devices lie above a watched interface.
#[inline(always)]
pub fn has_above(interface: u32) -> bool {
    let Some(below) = maps::DEVICES.get_ptr_mut(interface) else { return false };
    // SAFETY: a field of a map's value, which stays readable while the program runs.
    unsafe { (*below).flags & Below::HAS_ABOVE != 0 }
}

#[inline(always)]
fn lookup<const N: usize>(map: &LruHashMap<ServedKey, u32, N>, key: ServedKey) -> u32 {
    map.get_ptr_mut(key).map_or(0, |stamp| {
        // SAFETY: an aligned word of a map's value, which stays readable while the program runs.
        unsafe { stamp.read_volatile() }
    })
}
