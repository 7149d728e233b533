//! What the rules need of the outside: maps, sockets, a clock. The kernel program answers with BPF maps and
//! helpers, tests and fuzzers with ordinary collections.
//!
//! It must not contain a rule.

use crate::{
    block::Block,
    classify::{Kind, Probe, Protocol},
    counter::Counter,
    event::Event,
    settings::Settings,
};

/// Whose address a destination is. The numbers cross the kernel boundary.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locality {
    /// Somebody else's, or no single host's: nothing sent to it counts.
    Foreign = 0,
    /// The host's own.
    Own = 1,
    /// In a network behind this gateway that is watched too (`PROTECTED_NETWORKS`).
    Protected = 2,
}

impl From<Option<u32>> for Locality {
    /// From what a locality map holds for an address.
    #[inline(always)]
    fn from(number: Option<u32>) -> Self {
        match number {
            Some(1) => Self::Own,
            Some(2) => Self::Protected,
            _ => Self::Foreign,
        }
    }
}

/// What became of a block that was to be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It is in the map now.
    Entered,
    /// The source was blocked already, by another CPU a moment ago.
    Already,
    /// The map is full.
    Full,
}

/// A packet's two ends.
#[derive(Clone, Copy, Debug)]
pub struct Flow<A> {
    /// Where it says it came from.
    pub source: A,
    /// Where it goes.
    pub destination: A,
    /// What it would be.
    pub probe: Probe,
}

/// A probe that may have been told before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sight<A> {
    /// Where it says it came from.
    pub source: A,
    /// Port that it went to, host byte order.
    pub port: u16,
    /// Its kind.
    pub kind: Kind,
}

/// What is the same for both address families.
pub trait World {
    /// The settings.
    fn settings(&self) -> &Settings;

    /// Nanoseconds of `CLOCK_MONOTONIC`, as fine as a tick.
    fn now_ns(&self) -> u64;

    /// Index of the interface the frame came in on.
    fn interface(&self) -> u32;

    /// Adds one to `counter`.
    fn count(&self, counter: Counter);

    /// Whether `port` (host byte order) is watched, by list or in advanced mode.
    fn is_watched(&self, protocol: Protocol, port: u16) -> bool;

    /// Whether an event may be told at `now_ns` without exceeding the event rate.
    fn may_tell(&self, now_ns: u64) -> bool;

    /// Hands `event` to the daemon; `false` if the ring is full.
    fn tell(&self, event: &Event) -> bool;
}

/// What is kept for each address family.
pub trait Hosts<A>: World {
    /// Whether anybody is blocked whose address has this bit in the gate (see [`crate::gate`]). Cheap; `true` only
    /// means that [`Hosts::is_blocked`] must tell.
    fn may_be_blocked(&self, bit: u32) -> bool;

    /// Whether `source` is blocked now; if it is, adds one to its dropped packets.
    fn is_blocked(&self, source: A) -> bool;

    /// Whether `source` is ignored, or one of the addresses that are never blocked.
    fn is_ignored(&self, source: A) -> bool;

    /// Whose address `destination` is.
    fn locality(&self, destination: A) -> Locality;

    /// Whether the destination alone, or a socket on it, explained a packet shortly before that went to the same
    /// port: see [`Hosts::remember`]. Cheap; `false` only means that the others must tell.
    fn was_explained(&self, destination: A, protocol: Protocol, port: u16) -> bool;

    /// Remembers for a moment that packets to this destination and port are explained, if the settings say so.
    fn remember(&self, flow: &Flow<A>);

    /// Whether a socket explains the packet at this moment: one that listens or is bound on the destination,
    /// or an existing connection between the two ends. One in TIME-WAIT explains only what belongs to it.
    fn is_served(&self, flow: &Flow<A>) -> bool;

    /// Counts a probe of `source` and returns how many it has sent.
    fn tally(&self, source: A, now_ns: u64) -> u32;

    /// Whether `sight` was told within the repeat window; if not, it is from now on.
    fn is_repeat(&self, sight: &Sight<A>, now_ns: u64) -> bool;

    /// Enters `source` in the blocked map, unless a block that isn't over stands there.
    fn block(&self, source: A, block: &Block) -> Entry;
}
