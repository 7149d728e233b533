//! The bitmaps of watched ports.

use portsentry_common::classify::Protocol;

use crate::{barrier_var::barrier_var, maps};

/// Whether `port` (host byte order) is watched, by list or in advanced mode.
#[inline(always)]
pub fn is_watched(protocol: Protocol, port: u16) -> bool {
    let (word, mask) = (u32::from(port) / 64, 1 << (port % 64));
    let (listed, advanced) = match protocol {
        Protocol::Tcp => (maps::WATCHED_TCP.get(word), maps::ADVANCED_TCP.get(word)),
        Protocol::Udp => (maps::WATCHED_UDP.get(word), maps::ADVANCED_UDP.get(word)),
    };
    (listed.copied().unwrap_or(0) | advanced.copied().unwrap_or(0)) & mask != 0
}

/// Whether `port` (host byte order) is watched by list.
#[inline(always)]
pub fn is_listed(protocol: Protocol, port: u16) -> bool {
    let (word, mask) = (u32::from(port) / 64, 1 << (port % 64));
    let listed = match protocol {
        Protocol::Tcp => maps::WATCHED_TCP.get(word),
        Protocol::Udp => maps::WATCHED_UDP.get(word),
    };
    listed.copied().unwrap_or(0) & mask != 0
}

/// Returns a port in network byte order within known bounds: the verifiers of Linux 6.1 and 6.12 know no bounds of
/// a swapped number.
#[inline(always)]
pub fn swapped(port: u16) -> usize {
    barrier_var(port.swap_bytes().into()) & usize::from(u16::MAX)
}

/// Whether a fenced source's SYN to `port` (host byte order) always reaches the network stack.
#[inline(always)]
pub fn is_excluded(port: u16) -> bool {
    let (word, mask) = (u32::from(port) / 64, 1 << (port % 64));
    maps::EXCLUDED_TCP.get(word).copied().unwrap_or(0) & mask != 0
}
