//! What the kernel program remembers of sources and of itself between packets. It must not decide anything.

use bytemuck::{Pod, Zeroable};

use crate::address::Ipv6;

/// A source's probes so far: a value of the state engine.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Tally {
    /// Probes that count towards the trigger.
    pub hits: u64,
    /// When the last one came, nanoseconds of `CLOCK_MONOTONIC`.
    pub last_ns: u64,
}

/// What makes a probe a repeat of one told before.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct SightKey {
    /// Where it says it came from; IPv4 as IPv4-mapped.
    pub source: Ipv6,
    /// Host byte order.
    pub port: u16,
    /// A [`crate::classify::Kind`].
    pub kind: u8,
    /// Always 0.
    pub reserved: [u8; 5],
}

/// A packet that is to be handed to the daemon's own sockets.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct SteerKey {
    /// Where it says it came from; IPv4 as IPv4-mapped.
    pub source: Ipv6,
    /// Port that it comes from, host byte order.
    pub source_port: u16,
    /// Port that it goes to, host byte order.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Always 0.
    pub reserved: [u8; 3],
}

const _: () = assert!(size_of::<Tally>() == 16 && size_of::<SightKey>() == 24 && size_of::<SteerKey>() == 24);
