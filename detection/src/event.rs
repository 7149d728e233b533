//! A first contact in the traffic, or a repetition of one.

use portsentry_common::scan::{Outcome, Shape};

use crate::network::Pair;

/// A SYN with its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Time in seconds.
    pub at: u32,
    /// The source's number: its IPv4 address, or the first half of its IPv6 address.
    pub source: u64,
    /// Its destination.
    pub pair: Pair,
    /// What became of it.
    pub outcome: Outcome,
    /// The SYN's shape.
    pub shape: Shape,
}

impl Event {
    /// Returns a SYN as operating systems send it, without an answer.
    #[must_use]
    pub fn silent(at: u32, source: u64, pair: Pair) -> Self {
        Self { at, source, pair, outcome: Outcome::Silent, shape: Shape::Ordinary }
    }

    /// Whether it failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.outcome != Outcome::Served
    }
}
