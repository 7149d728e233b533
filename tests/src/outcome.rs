//! The outcome of a frame, comparable between kernel and userspace.

use std::{collections::BTreeMap, net::IpAddr, time::SystemTime};

use portsentry::policy::Sighting;
use portsentry_common::{
    block::Block,
    counter::{COUNTERS, Counter, Counters},
    judge::Action,
};

/// A judge of frames.
pub trait Judge {
    /// Judges a frame of at least 14 bytes.
    fn judge(&mut self, frame: &[u8]) -> Outcome;

    /// Returns the blocked sources, including expired blocks.
    fn blocked(&self) -> BTreeMap<IpAddr, Block>;
}

/// The effects of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The verdict on the frame.
    pub action: Action,
    /// The reported events, without their times.
    pub told: Vec<Sighting>,
    /// Increments of the counters by name, without unchanged counters.
    pub counted: BTreeMap<&'static str, u64>,
}

impl Outcome {
    /// Computes the outcome from the counters before and after the frame.
    #[must_use]
    pub fn new(action: Action, told: Vec<Sighting>, before: &Counters, after: &Counters) -> Self {
        let growth = |counter: Counter| after.get(counter) - before.get(counter);
        let counted = COUNTERS.iter().map(|(counter, name, _)| (*name, growth(*counter)));
        Self {
            action,
            told: told.into_iter().map(timeless).collect(),
            counted: counted.filter(|(_, growth)| *growth > 0).collect(),
        }
    }
}

/// Returns the names of the counters that grew.
#[must_use]
pub fn grown(before: &Counters, after: &Counters) -> Vec<&'static str> {
    let has_grown = |counter: Counter| after.get(counter) > before.get(counter);
    COUNTERS.iter().filter(|(counter, ..)| has_grown(*counter)).map(|(_, name, _)| *name).collect()
}

/// Removes the time and the evidence of a scan, because judges don't share a clock, and the fields that no rule uses.
fn timeless(mut told: Sighting) -> Sighting {
    told.scan = None;
    (told.time, told.length, told.ttl) = (SystemTime::UNIX_EPOCH, 0, 0);
    told
}

/// Removes the times of `block`, keeping only whether it ends.
#[must_use]
pub fn timeless_block(block: Block) -> Block {
    Block { since_ns: 0, until_ns: u64::from(block.until_ns != 0), ..block }
}
