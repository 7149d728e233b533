//! State of each source: its probes and its handshakes.

use aya_ebpf::{bindings::BPF_NOEXIST, btf_maps::LruHashMap};
use portsentry_common::{
    address::Ipv6,
    tally::{Handshakes, Tally},
};

use crate::{kernel::Family, maps};

/// Initial values of new entries, in the program's data because they would take much of the stack.
static NO_TALLY: Tally = Tally::EMPTY;
static NO_HANDSHAKES: Handshakes = Handshakes::NONE;

/// Returns the probes of `source`, initially none; `None` if the map has no room.
#[inline(always)]
pub fn tally<A: Family>(source: A) -> Option<*mut Tally> {
    entry(&maps::SOURCES, source.to_mapped(), &NO_TALLY)
}

/// Returns the handshakes of `source`, initially none; `None` if the map has no room.
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
