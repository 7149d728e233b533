//! State of each source: its probes and its handshakes.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST},
    btf_maps::LruHashMap,
};
use portsentry_common::{
    address::Ipv6,
    state::RecentKey,
    tally::{Handshakes, Tally},
};

use super::family::Family;
use crate::{maps, settings::settings};

/// Initial values of new entries, in the program's data because they would take much of the stack.
static NO_TALLY: Tally = Tally::EMPTY;
static NO_HANDSHAKES: Handshakes = Handshakes::NONE;

/// Counts a probe of the source with these halves. Returns the number of its distinct probes. If the map is full,
/// probes don't add up. A separate function, like [`count_handshake`], because its stack would add to every
/// caller's.
#[inline(never)]
pub fn count_probe(high: u64, low: u64, pair: u64, now_ns: u64) -> u64 {
    let Some(tally) = entry(&maps::SOURCES, Ipv6::from_halves([high, low]), &NO_TALLY) else { return 1 };
    // SAFETY: a map's value. A concurrent write by another CPU may lose a hit, but never adds one.
    let hits = unsafe { (*tally).count(pair as u32, now_ns, settings().tally_ns) };
    hits.into()
}

/// Whether a probe of the source with these halves was reported within `REPEAT_WINDOW`; if not, records it. `what`
/// holds its port and kind, from the lowest bits on.
#[inline(never)]
pub fn is_repeat(high: u64, low: u64, what: u64, now_ns: u64) -> u64 {
    let key = RecentKey::new(Ipv6::from_halves([high, low]), what as u16, (what >> 16) as u8);
    if let Some(reported) = maps::RECENT.get_ptr_mut(key) {
        // SAFETY: an aligned word of a map's value.
        let reported = unsafe { &mut *reported };
        if now_ns.wrapping_sub(*reported) < settings().repeat_ns {
            return 1;
        }
        *reported = now_ns;
        return 0;
    }
    let _ = maps::RECENT.insert(key, now_ns, u64::from(BPF_ANY));
    0
}

/// Set in the result of [`count_handshake`] if the source has a connection to a service.
pub const IS_CONNECTED: u64 = 1 << 32;

/// Counts a handshake of the source with these halves. Returns the number of traps with which it completed
/// handshakes, and [`IS_CONNECTED`].
#[inline(never)]
pub fn count_handshake(high: u64, low: u64, pair: u64, now_ns: u64) -> u64 {
    let Some(handshakes) = entry(&maps::HANDSHAKES, Ipv6::from_halves([high, low]), &NO_HANDSHAKES) else {
        return 1;
    };
    // SAFETY: as in `count_probe`.
    let handshakes = unsafe { &mut *handshakes };
    let traps = u64::from(handshakes.count(pair as u32, now_ns, settings().tally_ns));
    if handshakes.is_connected(now_ns) { traps | IS_CONNECTED } else { traps }
}

/// Returns the handshakes of `source`, initially none, or `None` if the map is full.
#[inline(always)]
pub fn handshakes<A: Family>(source: A) -> Option<*mut Handshakes> {
    entry(&maps::HANDSHAKES, source.to_mapped(), &NO_HANDSHAKES)
}

#[inline(always)]
fn entry<T, const MOST: usize>(map: &LruHashMap<Ipv6, T, MOST>, key: Ipv6, new: &T) -> Option<*mut T> {
    let known = map.get_ptr_mut(key);
    if known.is_some() {
        return known;
    }
    let _ = map.insert(key, new, u64::from(BPF_NOEXIST));
    map.get_ptr_mut(key)
}
