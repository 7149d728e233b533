//! The daemon's representation of a probe.

use std::{net::IpAddr, time::SystemTime};

use ipnet::IpNet;
use portsentry_common::{
    block::Proof,
    classify::{Kind, Protocol},
    decide::Verdict,
};

use super::{
    hold::{Hold, Record, network_of},
    scan::{Scan, ScanKind},
};

/// A probe that the kernel reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Time of the probe, by the wall clock.
    pub time: SystemTime,
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub port: u16,
    /// The transport protocol.
    pub protocol: Protocol,
    /// Its kind.
    pub kind: Kind,
    /// TCP's control bits as received.
    pub flags: u8,
    /// Whether IPv4 options or IPv6 extension headers were present, if known.
    pub options: Option<bool>,
    /// Index of the interface that received it.
    pub interface: u32,
    /// Identifier of the innermost VLAN tag, or 0 without one.
    pub vlan: u16,
    /// Length of its frame in bytes, or 0 if unknown.
    pub length: u16,
    /// Its time to live or hop limit, or 0 if unknown.
    pub ttl: u8,
    /// Number of the source's probes so far, or 0 if this one doesn't count.
    pub hits: u32,
    /// The kernel's verdict.
    pub verdict: Verdict,
    /// The proof that the source itself sent it.
    pub proof: Proof,
    /// Length of the IPv6 network by which the source is counted, or 0 for the source alone.
    pub prefix: u8,
    /// The evidence of a scan that avoids traps, if that led to the verdict rather than this probe alone.
    pub scan: Option<Scan>,
}

impl Sighting {
    /// Returns the entry of the block that this probe caused, for the files.
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

    /// Returns the network by which the source is counted and blocked: itself, or its IPv6 network.
    #[must_use]
    pub fn network(&self) -> IpNet {
        network_of(self.source, self.prefix)
    }

    /// Returns the name of the scan or of the probe's kind, as part of the format of events.
    #[must_use]
    pub const fn kind_name(&self) -> &'static str {
        match &self.scan {
            Some(scan) => scan.kind().name(),
            None => kind_name(self.kind),
        }
    }

    /// Returns the block that this probe caused.
    #[must_use]
    pub fn record(&self) -> Record {
        Record { network: self.network(), hold: self.hold() }
    }
}

/// Returns a kind's name, as part of the format of events.
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

/// Returns the names of all kinds of probes and scans in events.
pub fn kind_names() -> impl Iterator<Item = &'static str> {
    let kinds = (0..=u8::MAX).filter_map(|number| Kind::try_from(number).ok()).map(kind_name);
    kinds.chain(ScanKind::ALL.map(ScanKind::name))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Kind, Proof, Protocol, Sighting, SystemTime, Verdict};

    /// Returns the sighting of a SYN whose source was blocked.
    pub(crate) fn sample_sighting() -> Sighting {
        Sighting {
            time: SystemTime::UNIX_EPOCH,
            source: [192, 0, 2, 9].into(),
            destination: [198, 51, 100, 1].into(),
            source_port: 40_000,
            port: 11,
            protocol: Protocol::Tcp,
            kind: Kind::Syn,
            flags: 2,
            options: Some(false),
            interface: 1,
            vlan: 0,
            length: 0,
            ttl: 0,
            hits: 1,
            verdict: Verdict::Block,
            proof: Proof::None,
            prefix: 0,
            scan: None,
        }
    }
}
