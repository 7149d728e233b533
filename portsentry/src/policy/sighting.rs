//! One probe as the daemon speaks of it.

use std::{net::IpAddr, time::SystemTime};

use ipnet::IpNet;
use portsentry_common::{
    block::Proof,
    classify::{Kind, Protocol},
    decide::Verdict,
};

use super::hold::{Hold, Record, network_of};

/// A probe that the kernel told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// When it came, by the wall clock.
    pub time: SystemTime,
    /// Where it says it came from.
    pub source: IpAddr,
    /// Where it went.
    pub destination: IpAddr,
    /// Port that it came from.
    pub source_port: u16,
    /// Port that it went to.
    pub port: u16,
    /// The transport protocol.
    pub protocol: Protocol,
    /// Its kind.
    pub kind: Kind,
    /// TCP's control bits as received.
    pub flags: u8,
    /// IPv4 options or IPv6 extension headers were present; `None` where that isn't known.
    pub options: Option<bool>,
    /// Index of the interface it came in on.
    pub interface: u32,
    /// Identifier of the innermost VLAN tag, 0 without one.
    pub vlan: u16,
    /// Length of its frame in bytes; 0 where that isn't known.
    pub length: u16,
    /// Its time to live, or hop limit; 0 where that isn't known.
    pub ttl: u8,
    /// The source's probes so far; 0 if it doesn't count.
    pub hits: u32,
    /// What the kernel did about it.
    pub verdict: Verdict,
    /// What proves that the source itself sent it.
    pub proof: Proof,
    /// Length of the IPv6 network that the source is held by; 0 for the source alone.
    pub prefix: u8,
}

impl Sighting {
    /// What the files say of a block that this probe led to.
    #[must_use]
    pub const fn hold(&self) -> Hold {
        Hold {
            since: self.time,
            until: None,
            port: self.port,
            protocol: self.protocol,
            proof: self.proof,
            is_fence: matches!(self.verdict, Verdict::Fence),
        }
    }

    /// What the source is held by: itself, or its network.
    #[must_use]
    pub fn network(&self) -> IpNet {
        network_of(self.source, self.prefix)
    }

    /// The block that this probe led to.
    #[must_use]
    pub fn record(&self) -> Record {
        Record { network: self.network(), hold: self.hold() }
    }
}

/// A kind's name, as events have it: part of their format.
#[must_use]
pub const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Syn => "syn",
        Kind::Fin => "fin",
        Kind::Null => "null",
        Kind::Xmas => "xmas",
        Kind::Unknown => "unknown",
        Kind::Maimon => "maimon",
        Kind::Ack => "ack",
        Kind::Fragment => "fragment",
        Kind::Udp => "udp",
        Kind::Connect => "connect",
        Kind::Chain => "chain",
    }
}
