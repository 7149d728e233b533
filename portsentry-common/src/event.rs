//! What the kernel program tells the daemon of a probe. It must hold plain integers only.

use bytemuck::{Pod, Zeroable};

use crate::address::Ipv6;

/// A record of the ring. Its own reader turns the numbers into enums, and refuses those it doesn't know.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Event {
    /// When the probe came, nanoseconds of `CLOCK_MONOTONIC`, as fine as the kernel's tick.
    pub time_ns: u64,
    /// Where it says it came from; IPv4 as IPv4-mapped.
    pub source: Ipv6,
    /// Where it went; IPv4 as IPv4-mapped.
    pub destination: Ipv6,
    /// Index of the interface it came in on.
    pub interface: u32,
    /// The source's probes so far, this one included; 0 if it doesn't count.
    pub hits: u32,
    /// Host byte order.
    pub source_port: u16,
    /// Host byte order.
    pub port: u16,
    /// Identifier of the innermost VLAN tag, 0 without one.
    pub vlan: u16,
    /// Length of the frame in bytes.
    pub length: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// A [`crate::classify::Kind`].
    pub kind: u8,
    /// TCP's control bits as received.
    pub flags: u8,
    /// A [`crate::decide::Verdict`].
    pub verdict: u8,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// 1 if IPv4 options or IPv6 extension headers were present.
    pub options: u8,
    /// 4 or 6.
    pub version: u8,
    /// Length of the IPv6 network that the source is held by; 0 for the source alone.
    pub prefix: u8,
}

const _: () = assert!(size_of::<Event>() == 64);
