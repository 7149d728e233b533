//! A third judge, independent of the rules. etherparse parses the frame, and the expected outcome follows the
//! documents (README, ARCHITECTURE, `docs/proof.md`, the doc comments).
//!
//! Its clock stands still unless told otherwise, and its tables never fill up.

mod contacts;
mod dissect;
mod fenced;
mod finding;
mod knowledge;
mod learned;
mod memory;
mod probe;
mod scans;
mod seen;
mod sent;
mod sockets;
mod table;

use std::{collections::BTreeMap, net::IpAddr};

use portsentry_common::{block::Block, judge::Action};

pub use self::knowledge::Oracle;
use self::{
    dissect::{Reading, dissect},
    finding::Finding,
    seen::seen,
};
use crate::outcome::{Judge, Outcome, timeless_block};

impl Judge for Oracle {
    fn judge(&mut self, frame: &[u8]) -> Outcome {
        let Finding { action, told, counted: names } = self.find(frame);
        let mut counted = BTreeMap::new();
        // A probe that makes a scan is reported twice.
        names.into_iter().for_each(|name| *counted.entry(name).or_default() += 1);
        Outcome { action, told, counted }
    }

    fn blocked(&self) -> BTreeMap<IpAddr, Block> {
        self.blocked.iter().map(|(source, block)| (*source, timeless_block(*block))).collect()
    }
}

impl Oracle {
    fn find(&mut self, frame: &[u8]) -> Finding {
        let ip = match dissect(frame) {
            Reading::NotIp => return Finding::passes(),
            Reading::Buried => return Finding::of(Action::Drop, &["malformed_link"]),
            Reading::Unreadable(counter) => return Finding::of(Action::Pass, &[counter]),
            Reading::Ip(ip) => ip,
        };
        if ip.source.is_some_and(|source| !self.is_abandoned() && self.is_blocked(source)) {
            return Finding::of(Action::Drop, &["dropped"]);
        }
        let is_fenced = |source: &IpAddr| self.is_fenced(*source) && !self.is_abandoned();
        let (source, packet) = match (ip.source, &ip.rest) {
            (Some(source), Ok(packet)) => (source, packet),
            (Some(source), Err(counter)) if is_fenced(&source) => {
                return Finding::of(Action::Drop, &[counter, "dropped_fenced"]);
            }
            (_, Err(counter)) => return Finding::of(Action::Pass, &[counter]),
            (None, Ok(_)) => unreachable!("a packet that could be read has a source"),
        };
        if is_fenced(&source) {
            return self.fenced(source, &ip, packet);
        }
        match seen(source, &ip, packet) {
            Some(seen) => {
                let finding = self.free(seen);
                self.contact(frame, &seen, finding)
            }
            None => Finding::passes(),
        }
    }
}
