//! The record with which the kernel program reports a probe to the daemon. It holds only plain integers.

use bytemuck::{Pod, Zeroable};

use crate::{address::Ipv6, classify::Kind, decide::Verdict, scan::Evidence};

/// A record in the ring. The reader converts the numbers to enums, and rejects unknown ones.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Event {
    /// Time of the probe in nanoseconds of `CLOCK_MONOTONIC`, with the resolution of the kernel's tick.
    pub time_ns: u64,
    /// Source address, IPv4 as IPv4-mapped.
    pub source: Ipv6,
    /// Destination address, IPv4 as IPv4-mapped.
    pub destination: Ipv6,
    /// Index of the interface that received it.
    pub interface: u32,
    /// Number of the source's probes, including this one, or 0 if this kind doesn't count.
    pub hits: u32,
    /// Host byte order.
    pub source_port: u16,
    /// Host byte order.
    pub port: u16,
    /// Identifier of the innermost VLAN tag, or 0 without one.
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
    /// Length of the IPv6 network by which the source is counted, or 0 for the source alone.
    pub prefix: u8,
}

const _: () = assert!(size_of::<Event>() == 64);

impl Event {
    /// Whether it reports the block of a proven source.
    #[inline(always)]
    #[must_use]
    pub const fn is_proven_block(&self) -> bool {
        self.verdict == Verdict::Block as u8 && self.kind == Kind::Connect as u8
    }
}

/// The record in the ring that reports a scan. Its size distinguishes it from other records.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct ScanEvent {
    /// The SYN that led to the verdict, and [`Event::hits`] the number of distinct failed pairs. [`Event::verdict`] is
    /// [`Verdict::Report`], [`Verdict::Fence`], or, if answers may still prevent the verdict, [`Verdict::Counted`]:
    /// then the daemon is to judge the source when none can come any more. [`Verdict::Noticed`] tells the daemon of one of
    /// the first failures of a source, which may be a member of a group ([`crate::scan::group`]).
    pub event: Event,
    /// The evidence.
    pub evidence: Evidence,
}

const _: () = assert!(size_of::<ScanEvent>() == 72);
