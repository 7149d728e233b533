//! State that the kernel program keeps between packets.

use bytemuck::{Pod, Zeroable};

use crate::address::Ipv6;

/// Value in the ignored maps for a network that this host belongs to. A source in it is not exempt, but counts by
/// its address alone. Other values are reasons for an exemption.
pub const NEIGHBOUR: u32 = 5;

/// Deduplication key of a probe. A probe with the same key as a recent one is a repeat.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct RecentKey {
    /// Source address, IPv4 as IPv4-mapped.
    pub source: Ipv6,
    /// Host byte order.
    pub port: u16,
    /// A [`crate::classify::Kind`].
    pub kind: u8,
    /// Always 0.
    pub reserved: [u8; 5],
}

impl RecentKey {
    /// Built from whole words, so that the look-up doesn't stall on a store.
    #[inline(always)]
    #[must_use]
    pub fn new(source: Ipv6, port: u16, kind: u8) -> Self {
        let [high, low] = source.halves();
        let [a, b] = port.to_ne_bytes();
        bytemuck::cast([high, low, u64::from_ne_bytes([a, b, kind, 0, 0, 0, 0, 0])])
    }
}

/// Key of a blocked network: the IP version, so that no IPv6 network contains an IPv4 host, and the address. A
/// prefix length includes the [`NetworkKey::VERSION_BITS`] before the address. The size is a multiple of eight, so
/// that the value after it is aligned.
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

    /// Returns the key in the map's form.
    #[inline(always)]
    #[must_use]
    pub fn octets(self) -> [u8; 24] {
        bytemuck::cast(self)
    }
}

/// Key of a packet for the daemon's own sockets.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct SteerKey {
    /// Source address, IPv4 as IPv4-mapped.
    pub source: Ipv6,
    /// Source port, host byte order.
    pub source_port: u16,
    /// Destination port, host byte order.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Always 0.
    pub reserved: [u8; 3],
}

impl SteerKey {
    /// Built from whole words, so that the look-up doesn't stall on a store.
    #[inline(always)]
    #[must_use]
    pub fn new(source: Ipv6, source_port: u16, port: u16, protocol: u8) -> Self {
        let [high, low] = source.halves();
        let [[a, b], [c, d]] = [source_port, port].map(u16::to_ne_bytes);
        bytemuck::cast([high, low, u64::from_ne_bytes([a, b, c, d, protocol, 0, 0, 0])])
    }
}

/// Value for a connection from a fenced source that the kernel has yet to open.
pub const TO_ACCEPT: u32 = 1;
/// Value for a connection from a fenced source that is open, or about to be.
pub const IS_OPEN: u32 = 2;

/// A flow to which the host sent packets, identified by its remote end: see
/// [`crate::environment::FamilyMaps::last_sent_ns`]. The host's address is not included, because a service on every
/// address may answer from a different one than the request's.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct FlowKey {
    /// The remote address, IPv4 as IPv4-mapped.
    pub remote: Ipv6,
    /// The remote port in host byte order, or 0 for any: see [`crate::session`].
    pub remote_port: u16,
    /// The host's port, host byte order.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Always 0.
    pub reserved: [u8; 3],
}

impl FlowKey {
    /// Built from whole words, so that a look-up doesn't stall on a store.
    #[inline(always)]
    #[must_use]
    pub fn new([high, low]: [u64; 2], remote_port: u16, port: u16, protocol: u8) -> Self {
        let rest = u64::from(remote_port) | u64::from(port) << 16 | u64::from(protocol) << 32;
        bytemuck::cast([high, low, rest.to_le()])
    }
}

const _: () = assert!(size_of::<FlowKey>() == 24);
const _: () = assert!(size_of::<RecentKey>() == 24 && size_of::<SteerKey>() == 24);
