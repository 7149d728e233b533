//! What became of a frame, in words that kernel and userspace share.

use std::{collections::BTreeMap, net::IpAddr, time::SystemTime};

use portsentry::policy::Sighting;
use portsentry_common::{
    block::Block,
    counter::{COUNTERS, Counter, Counters},
    judge::Action,
};

/// Something that judges frames, one after the other.
pub trait Judge {
    /// Judges a frame of at least 14 bytes.
    fn judge(&mut self, frame: &[u8]) -> Outcome;

    /// Who is blocked, whatever the time.
    fn blocked(&self) -> BTreeMap<IpAddr, Block>;
}

/// What a frame has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What happened to it.
    pub action: Action,
    /// What the daemon was told; the time is taken out.
    pub told: Vec<Sighting>,
    /// By how much the counters grew, by name; those that didn't are left out.
    pub counted: BTreeMap<&'static str, u64>,
}

impl Outcome {
    /// From counters before and after the frame.
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

/// `told` without its time, as no two judges share a clock, and without what no rule looks at.
fn timeless(mut told: Sighting) -> Sighting {
    (told.time, told.length, told.ttl) = (SystemTime::UNIX_EPOCH, 0, 0);
    told
}

/// `block` without its times, except whether it ends at all.
#[must_use]
pub fn timeless_block(block: Block) -> Block {
    Block { since_ns: 0, until_ns: u64::from(block.until_ns != 0), ..block }
}
