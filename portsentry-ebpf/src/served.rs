//! Looks up a packet's destination in the map of served addresses.

use aya_ebpf::btf_maps::LruHashMap;
use portsentry_common::{
    address::Ipv6,
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
    let interface = if which == Served::BySyn as u64 { NEEDS_SYN } else { interface };
    // One key for all look-ups, to save stack.
    let mut key = ServedKey::new(every, interface, port, protocol);
    if which == Served::Connected as u64 {
        key = key.connected();
    }
    let is_later = |key: &ServedKey| u64::from(lookup(&maps::SERVED, key)) > horizon;
    if is_later(&key) {
        return 1;
    }
    key.address = Ipv6::from_halves([high, low]);
    if is_later(&key) {
        return 1;
    }
    key.interface = 0;
    u64::from(which == Served::All as u64 && is_later(&key))
}

/// Whether other devices lie above a watched interface.
#[inline(always)]
pub fn has_above(interface: u32) -> bool {
    let Some(below) = maps::DEVICES.get_ptr_mut(interface) else { return false };
    // SAFETY: a field of a map's value, which stays readable while the program runs.
    unsafe { (*below).flags & Below::HAS_ABOVE != 0 }
}

/// Returns the latest stamp of a service that must see the SYN.
#[inline(always)]
pub fn latest_needs_syn() -> u32 {
    maps::NEEDS_SYN.get(0).map_or(u32::MAX, |latest| {
        // SAFETY: an aligned word of a map's value, which stays readable while the program runs.
        unsafe { (&raw const *latest).read_volatile() }
    })
}

/// Raises the latest stamp of such a service to `stamp`. Must be called before the service is stamped.
#[inline(always)]
pub fn note_needs_syn(stamp: u32) {
    if let Some(latest) = maps::NEEDS_SYN.get_ptr_mut(0) {
        // SAFETY: as above.
        unsafe {
            if latest.read_volatile() < stamp {
                latest.write_volatile(stamp);
            }
        }
    }
}

#[inline(always)]
fn lookup<const N: usize>(map: &LruHashMap<ServedKey, u32, N>, key: &ServedKey) -> u32 {
    map.get_ptr_mut(key).map_or(0, |stamp| {
        // SAFETY: an aligned word of a map's value, which stays readable while the program runs.
        unsafe { stamp.read_volatile() }
    })
}
