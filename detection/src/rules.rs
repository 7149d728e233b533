//! The rules that are compared. Each reads all events in order.

mod bucket;
mod lru;
mod ours;
mod simple_scan;
mod walk;

use portsentry_common::{
    address::Ipv4,
    scan::{Contact, Pair, Verdict, group::Noted},
};

pub use self::{
    bucket::LeakyBucket,
    lru::Lru,
    ours::{Finding, Ours, SETS},
    simple_scan::SimpleScan,
    walk::RandomWalk,
};
use crate::event::Event;

/// The rules, in the order of the tables.
pub const RULES: [&str; 5] =
    ["portsentry, report", "portsentry, fence", "TRW", "simple-scan", "leaky bucket"];

/// All rules.
#[derive(Debug)]
pub struct Rules {
    ours: Ours,
    walk: RandomWalk,
    scan: SimpleScan,
    bucket: LeakyBucket,
}

impl Rules {
    /// Returns rules that know nothing yet. `key` is this project's secret.
    pub fn new(key: u64) -> Self {
        Self {
            ours: Ours::new(SETS, key),
            walk: RandomWalk::default(),
            scan: SimpleScan::default(),
            bucket: LeakyBucket::default(),
        }
    }

    /// Reads an event. Returns which rules take its source for a scanner now, and the verdict on its group.
    pub fn read(&mut self, event: &Event) -> ([bool; RULES.len()], Noted) {
        let Finding { verdict, group } = self.ours.read(event);
        let found = [
            verdict >= Verdict::Report,
            verdict >= Verdict::Fence,
            self.walk.read(event),
            self.scan.read(event),
            self.bucket.read(event),
        ];
        (found, group)
    }
}

/// Returns the contact that the kernel program would note.
fn contact(event: &Event, key: u64) -> Contact {
    let (host, port) = event.pair;
    let pair = Pair::new(Ipv4 { octets: host.to_be_bytes() }, port, key);
    Contact { pair, outcome: event.outcome, shape: event.shape, is_high: port > 1023, is_open: false }
}
