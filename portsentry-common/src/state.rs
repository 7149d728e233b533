//! What the kernel program remembers of sources and of itself between packets.

use bytemuck::{Pod, Zeroable};

use crate::address::Ipv6;

/// What the ignored maps hold of networks that this host is in: nobody there is exempt for that, but each is held alone.
/// The other numbers are reasons for which nobody is held.
pub const NEIGHBOUR: u32 = 5;

/// What makes a probe a repeat of one told before.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct RecentKey {
    /// Where it says it came from; IPv4 as IPv4-mapped.
    pub source: Ipv6,
    /// Host byte order.
    pub port: u16,
    /// A [`crate::classify::Kind`].
    pub kind: u8,
    /// Always 0.
    pub reserved: [u8; 5],
}

impl RecentKey {
    /// Put together by words, which a look-up needn't wait for.
    #[inline(always)]
    #[must_use]
    pub fn new(source: Ipv6, port: u16, kind: u8) -> Self {
        let [high, low] = source.halves();
        let [a, b] = port.to_ne_bytes();
        bytemuck::cast([high, low, u64::from_ne_bytes([a, b, kind, 0, 0, 0, 0, 0])])
    }
}

/// What a blocked network is found by: the IP version, so that no IPv6 network holds an IPv4 host, and the address. A
/// prefix counts [`NetworkKey::VERSION_BITS`] before the address's own; with a size that is no multiple of eight, the
/// value behind it would not be aligned.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct NetworkKey {
    /// 4 or 6.
    pub version: u64,
    /// IPv4 as IPv4-mapped.
    pub address: Ipv6,
}

impl NetworkKey {
    /// Bits of [`NetworkKey::version`].
    pub const VERSION_BITS: u32 = 64;
    /// Bits of the whole key.
    pub const BITS: u32 = 192;

    /// The key as the map takes it.
    #[inline(always)]
    #[must_use]
    pub fn octets(self) -> [u8; 24] {
        bytemuck::cast(self)
    }
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

impl SteerKey {
    /// Put together by words, which a look-up needn't wait for.
    #[inline(always)]
    #[must_use]
    pub fn new(source: Ipv6, source_port: u16, port: u16, protocol: u8) -> Self {
        let [high, low] = source.halves();
        let [[a, b], [c, d]] = [source_port, port].map(u16::to_ne_bytes);
        bytemuck::cast([high, low, u64::from_ne_bytes([a, b, c, d, protocol, 0, 0, 0])])
    }
}

const _: () = assert!(size_of::<RecentKey>() == 24 && size_of::<SteerKey>() == 24);
