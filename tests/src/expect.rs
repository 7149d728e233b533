//! Expected outcomes of packets, in a few words.

use std::time::SystemTime;

use portsentry::policy::Sighting;
use portsentry_common::{
    block::Proof,
    classify::{Kind, Protocol},
    counter::{COUNTERS, Counter},
    decide::Verdict,
    judge::Action,
};

use crate::{
    frames::{Packet, Segment},
    outcome::Outcome,
};

/// The expected outcome of a packet.
#[derive(Clone, Debug)]
pub struct Expected {
    action: Action,
    told: Option<(Kind, Verdict, u32)>,
    counted: Vec<Counter>,
    prefix: u8,
}

/// Passes, without a trace.
#[must_use]
pub fn passes() -> Expected {
    Expected { action: Action::Pass, told: None, counted: Vec::new(), prefix: 0 }
}

/// Passes, and counts once.
#[must_use]
pub fn passes_as(counter: Counter) -> Expected {
    Expected { counted: vec![counter], ..passes() }
}

/// Passes, because of a service or connection.
#[must_use]
pub fn is_served() -> Expected {
    passes_as(Counter::Served)
}

/// Dropped: its source is blocked.
#[must_use]
pub fn is_dropped() -> Expected {
    Expected { action: Action::Drop, told: None, counted: vec![Counter::Dropped], prefix: 0 }
}

/// The first probe of its source: reported and dropped, and the source is fenced.
#[must_use]
pub fn fences(kind: Kind) -> Expected {
    let counted =
        vec![Counter::Probes, counter(kind), Counter::DroppedProbes, Counter::Fenced, Counter::Reported];
    Expected { action: Action::Drop, told: Some((kind, Verdict::Fence, 1)), counted, prefix: 0 }
}

/// Passes, although its source is fenced.
#[must_use]
pub fn is_fenced_through() -> Expected {
    passes_as(Counter::PassedFenced)
}

/// Rewritten into its own answer.
#[must_use]
pub fn is_answered() -> Expected {
    Expected { action: Action::Answer, counted: vec![Counter::Answered], ..passes() }
}

/// Dropped from any source, because it has more tags than the program reads.
#[must_use]
pub fn is_buried() -> Expected {
    Expected { action: Action::Drop, counted: vec![Counter::MalformedLink], ..passes() }
}

/// Dropped: its source is fenced, and the packet could open a connection, or is unreadable for the counted reason.
#[must_use]
pub fn is_fenced_off(cause: Option<Counter>) -> Expected {
    let counted = cause.into_iter().chain([Counter::DroppedFenced]).collect();
    Expected { action: Action::Drop, told: None, counted, prefix: 0 }
}

/// The first probe of its source: reported and dropped, and the source is blocked.
#[must_use]
pub fn blocks(kind: Kind) -> Expected {
    blocks_at(kind, 1)
}

/// The `hits`th probe of its source: reported and dropped, and the source is blocked.
#[must_use]
pub fn blocks_at(kind: Kind, hits: u32) -> Expected {
    let counted =
        vec![Counter::Probes, counter(kind), Counter::DroppedProbes, Counter::Blocked, Counter::Reported];
    Expected { action: Action::Drop, told: Some((kind, Verdict::Block, hits)), counted, prefix: 0 }
}

/// Dropped and reported, but the blocked map has no room for its source.
#[must_use]
pub fn finds_no_room(kind: Kind) -> Expected {
    let counted =
        vec![Counter::Probes, counter(kind), Counter::DroppedProbes, Counter::BlockedFull, Counter::Reported];
    Expected { action: Action::Drop, told: Some((kind, Verdict::Full, 1)), counted, prefix: 0 }
}

/// Passes, and is reported as the `hits`th probe of its source.
#[must_use]
pub fn is_told(kind: Kind, verdict: Verdict, hits: u32) -> Expected {
    let counted = vec![Counter::Probes, counter(kind), Counter::Reported];
    Expected { action: Action::Pass, told: Some((kind, verdict, hits)), counted, prefix: 0 }
}

/// Passes, and is reported, because its source is ignored.
#[must_use]
pub fn is_ignored(kind: Kind) -> Expected {
    let counted = vec![Counter::Probes, counter(kind), Counter::Ignored, Counter::Reported];
    Expected { action: Action::Pass, told: Some((kind, Verdict::Ignored, 0)), counted, prefix: 0 }
}

/// Passes, as the failed first contact of its source.
#[must_use]
pub fn fails() -> Expected {
    passes_as(Counter::FailedContacts)
}

/// The same, with which the source is reported for this number of failures.
#[must_use]
pub fn fails_and_is_told(failures: u32) -> Expected {
    let counted = vec![Counter::FailedContacts, Counter::ScanReports, Counter::Reported];
    Expected { told: Some((Kind::Syn, Verdict::Report, failures)), counted, ..passes() }
}

/// Dropped: the failed first contact with which the source is fenced, for this number of failures.
#[must_use]
pub fn fails_and_fences(failures: u32) -> Expected {
    let counted = vec![Counter::FailedContacts, Counter::ScanFences, Counter::Fenced, Counter::Reported];
    Expected { action: Action::Drop, told: Some((Kind::Syn, Verdict::Fence, failures)), counted, prefix: 0 }
}

impl Expected {
    /// The same outcome for a source blocked by its network, with a prefix of this length.
    #[must_use]
    pub fn by(self, prefix: u8) -> Self {
        Self { prefix, ..self }
    }

    /// The same outcome without an event, suppressed for the reason that `counter` counts.
    #[must_use]
    pub fn untold(mut self, counter: Counter) -> Self {
        self.told = None;
        self.counted.retain(|counted| *counted != Counter::Reported);
        self.counted.push(counter);
        self
    }

    /// Returns the expected outcome of `packet`, sent from `seat`. The event follows from the packet's description.
    #[must_use]
    pub fn of(&self, packet: &Packet, seat: u8) -> Outcome {
        let (source, destination) = (packet.source(seat), packet.destination());
        let told = self.told.map(|(kind, verdict, hits)| {
            let (protocol, flags) = match packet.segment() {
                Segment::Tcp(_) if kind == Kind::Fragment => (Protocol::Tcp, 0),
                _ if kind == Kind::Chain => (Protocol::Tcp, 0),
                Segment::Tcp(flags) => (Protocol::Tcp, flags),
                Segment::Udp => (Protocol::Udp, 0),
                Segment::Other(number) => panic!("protocol {number} has no probes"),
            };
            Sighting {
                time: SystemTime::UNIX_EPOCH,
                source: source.ip(),
                destination: destination.ip(),
                // The ports after an unreadable chain are unknown.
                source_port: if kind == Kind::Chain { 0 } else { source.port() },
                port: if kind == Kind::Chain { 0 } else { destination.port() },
                protocol,
                kind,
                flags,
                options: Some(packet.has_options()),
                interface: 1,
                vlan: packet.innermost_vlan(),
                length: 0,
                ttl: 0,
                hits,
                verdict,
                proof: if kind == Kind::Connect && verdict != Verdict::Fence {
                    Proof::Cookie
                } else {
                    Proof::None
                },
                prefix: self.prefix,
                scan: None,
            }
        });
        let names = self.counted.iter().map(|counter| (name(*counter), 1));
        Outcome { action: self.action, told: told.into_iter().collect(), counted: names.collect() }
    }
}

/// Returns the counter of a kind of probe.
fn counter(kind: Kind) -> Counter {
    match kind {
        Kind::Syn => Counter::Syn,
        Kind::Fin => Counter::Fin,
        Kind::Null => Counter::Null,
        Kind::Xmas => Counter::Xmas,
        Kind::Unknown => Counter::Unknown,
        Kind::Maimon => Counter::Maimon,
        Kind::Ack => Counter::Ack,
        Kind::Fragment => Counter::Fragment,
        Kind::Udp => Counter::Udp,
        Kind::Chain => Counter::Chain,
        Kind::Connect => panic!("no packet is a completed connection"),
    }
}

fn name(counter: Counter) -> &'static str {
    COUNTERS.iter().find(|(other, ..)| *other == counter).map(|(_, name, _)| *name).expect("every counter")
}
