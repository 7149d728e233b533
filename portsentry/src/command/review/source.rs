//! The recorded packets of one source, and the conclusion from them.

use std::{collections::BTreeSet, net::IpAddr, time::SystemTime};

use jiff::Timestamp;

use crate::{policy::peers::is_private, sink::evidence::Seen};

/// Minimum number of distinct ports that a scanner tries. Mistakes and monitoring try one or two.
const SCAN: usize = 3;
/// Minimum number of distinct days on which monitoring tries the same ports.
const REGULAR: usize = 3;
/// Kinds that no network stack sends by itself.
const ODD: [&str; 4] = ["NULL", "XMAS", "FIN", "unknown"];

/// The recorded packets of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    ports: BTreeSet<(u16, String)>,
    days: BTreeSet<String>,
    /// Kinds of packets that only scanners send.
    odd: BTreeSet<String>,
    first: Option<SystemTime>,
    packets: usize,
    is_proven: bool,
}

/// The group of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// It scans, with the reason.
    Scanner(String),
    /// It may be honest, with the reason.
    Candidate(String),
    /// A single probe, or two.
    Other,
}

impl Source {
    /// Adds a packet of the source.
    pub(super) fn add(&mut self, seen: &Seen) {
        self.ports.insert((seen.port, seen.protocol.clone()));
        self.days.insert(seen.time.chars().take_while(|c| *c != 'T').collect());
        if ODD.iter().any(|odd| seen.kind.contains(odd)) {
            self.odd.insert(seen.kind.clone());
        }
        let time = seen.time.parse::<Timestamp>().ok().map(SystemTime::from);
        self.first = self.first.into_iter().chain(time).min();
        self.packets += 1;
        self.is_proven |= !["none", ""].contains(&seen.proof.as_str());
    }

    /// Returns the time of its first packet.
    pub(super) fn first(&self) -> Option<SystemTime> {
        self.first
    }

    /// Returns its ports, such as `23/TCP`.
    pub(super) fn ports(&self) -> Vec<String> {
        self.ports.iter().map(|(port, protocol)| format!("{port}/{protocol}")).collect()
    }

    /// Returns the number of its packets.
    pub(super) const fn packets(&self) -> usize {
        self.packets
    }

    /// Returns the number of days on which it was seen.
    pub(super) fn days(&self) -> usize {
        self.days.len()
    }

    /// Judges the source at `address`. A source that may belong to the administrator is a candidate, whatever it
    /// sent: if it scans, it needs a look even more.
    pub(super) fn judge(&self, address: IpAddr, is_client: bool) -> Group {
        let ports = if self.ports.len() < SCAN {
            self.ports().join(", ")
        } else {
            format!("{} ports", self.ports.len())
        };
        if is_private(address) {
            return Group::Candidate(format!("a private address; {ports}"));
        }
        if is_client {
            return Group::Candidate(format!("has a connection with a service; {ports}"));
        }
        if !self.odd.is_empty() {
            return Group::Scanner(self.odd.iter().cloned().collect::<Vec<_>>().join(", "));
        }
        if self.is_proven {
            return Group::Scanner(format!("completed a handshake with a trap; {ports}"));
        }
        if self.ports.len() >= SCAN {
            return Group::Scanner(ports);
        }
        if self.days.len() >= REGULAR {
            let days = self.days.len();
            return Group::Candidate(format!("the same ports on {days} days, as monitoring does; {ports}"));
        }
        Group::Other
    }
}
