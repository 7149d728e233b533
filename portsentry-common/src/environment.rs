//! What the rules need of the outside: maps, sockets, a clock. The kernel program answers with BPF maps and helpers,
//! tests and fuzzers with ordinary collections.

use crate::{
    block::Block,
    bound::{Horizon, Slot},
    challenge::Secrets,
    classify::{Probe, Protocol},
    counter::Counter,
    event::Event,
    parse::Malformed,
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

/// What each CPU may do only so often in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RateLimit {
    /// Tell the daemon of a probe.
    Report,
    /// Fence a source.
    Fence,
    /// Answer a SYN with a cookie.
    Answer,
    /// Check whether an acknowledgement is of a cookie.
    Check,
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

/// Which served addresses are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// Those of sockets that are bound to a device, on any or one address: for packets by this interface.
    ByInterface,
    /// Also those of sockets that are bound to this very address alone.
    All,
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
pub struct DedupKey<A> {
    /// The key of where it says it came from (see [`SourceKey`]).
    pub source: A,
    /// Port that it went to, host byte order.
    pub port: u16,
    /// Its [`crate::classify::Kind`].
    pub kind: u8,
}

/// What two ends have to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// No connection.
    None,
    /// One that begins or ends.
    Passing,
    /// An established one.
    Established,
}

/// What a source's completed handshakes amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeCount {
    /// Distinct traps so far.
    pub traps: u32,
    /// Whether the source has been using an established connection to a service of ours.
    pub is_connected: bool,
}

/// What a source is to this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Nothing.
    Stranger,
    /// Its network is one that this host is in, with a gateway and perhaps others of the administrator's.
    Neighbour,
    /// It is ignored, or one of the addresses that are never blocked.
    Exempt,
}

/// By what a source is counted, limited and held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceKey<A> {
    /// Its address, or the first of its network.
    pub address: A,
    /// The network's length; 0 for the address alone.
    pub prefix: u8,
}

/// What is the same for both address families.
pub trait Environment {
    /// The settings.
    fn settings(&self) -> &Settings;

    /// Nanoseconds of `CLOCK_MONOTONIC`, as fine as a tick.
    fn now_ns(&self) -> u64;

    /// When the daemon last gave a sign of life, in nanoseconds of `CLOCK_MONOTONIC`.
    fn heartbeat_ns(&self) -> u64;

    /// Index of the interface the frame came in on.
    fn interface(&self) -> u32;

    /// Adds one to `counter`.
    fn count(&self, counter: Counter);

    /// Adds one to the counter of a cause.
    fn count_malformed(&self, cause: Malformed) {
        self.count(cause.into());
    }

    /// Whether `port` (host byte order) is watched, by list or in advanced mode.
    fn is_watched(&self, protocol: Protocol, port: u16) -> bool;

    /// Whether `port` (host byte order) is watched by list.
    fn is_listed(&self, protocol: Protocol, port: u16) -> bool;

    /// Takes one of this second's `allowance`; `false` if none is left at `now_ns`.
    fn try_acquire(&self, limit: RateLimit, now_ns: u64) -> bool;

    /// Which stamps of the table of bound ports count.
    fn horizon(&self) -> &Horizon;

    /// The secrets of the cookies, if there are any.
    fn secrets(&self) -> Option<&Secrets>;

    /// Hands `event` to the daemon; `false` if the ring is full.
    fn report(&self, event: &Event) -> bool;
}

/// What spares nearly every packet all other questions.
pub trait FastMaps<A> {
    /// Whether anybody is blocked or fenced whose address has this bit in the gate (see [`crate::gate`]). `true` only means
    /// that [`FamilyMaps::is_blocked`] and [`FamilyMaps::is_fenced`] must tell.
    fn may_be_blocked(&self, bit: u32) -> bool;

    /// Whether the destination alone, a socket on it, or that nobody watches the port (host byte order), explained a packet
    /// shortly before that went to the same: see [`FamilyMaps::remember`]. `false` only means that the others must tell. `ending`
    /// is the destination's: who has it in a packet reads it there, which spares cutting it out.
    fn is_known_benign(&self, destination: A, ending: u16, protocol: Protocol, port: u16) -> bool;
}

/// What is kept for each address family. Sources are those of packets where the kernel program only looks, and keys (see
/// [`SourceKey`]) where it enters something. Those who are asked for at any rate are handed over where they lie: that is how a map
/// wants them, and a copy would cost stack.
pub trait FamilyMaps<A>: Environment + FastMaps<A> {
    /// Whether anybody may be held alone that others of its network would be held with.
    fn may_be_alone(&self) -> bool;

    /// Whether `source` is blocked now, by the `key` of its network, in which exempt and neighbouring sources stay free, or
    /// alone; if it is, adds one to its dropped packets.
    fn is_blocked(&self, source: &A, key: &A, may_be_alone: bool) -> bool;

    /// Whether a blocked network holds `source`, and no ignored one does; if so, adds one to its dropped packets.
    /// Asked only of those who [`FastMaps::may_be_blocked`].
    fn is_in_blocked_network(&self, source: A) -> bool;

    /// What `source` is to this host.
    fn relation(&self, source: A) -> Relation;

    /// Whose address `destination` is.
    fn locality(&self, destination: A) -> Locality;

    /// Remembers for a moment that packets to this destination and port (host byte order) are explained, if the settings
    /// say so.
    fn remember(&self, destination: A, protocol: Protocol, port: u16);

    /// What the table of bound ports says of `port` (host byte order) in this address family.
    fn slot(&self, protocol: Protocol, port: u16) -> Slot;

    /// Whether the map of served addresses has the packet's destination, with a stamp later than `horizon`.
    fn is_in_served(&self, flow: &Flow<A>, which: Served, horizon: u32) -> bool;

    /// Whether a socket explains the packet at this moment: one that listens or is bound on the destination,
    /// or an existing connection between the two ends. One in TIME-WAIT explains only what belongs to it.
    fn has_socket(&self, flow: &Flow<A>) -> bool;

    /// Counts a probe of the source `key` to a `pair` (see [`crate::tally::pair`]) and returns how many distinct ones it has probed.
    fn tally(&self, key: A, pair: u32, now_ns: u64) -> u32;

    /// Counts a handshake of the source `key` with the trap at `pair`.
    fn count_handshake(&self, key: A, pair: u32, now_ns: u64) -> HandshakeCount;

    /// Remembers that the source `key` uses an established connection to a service of ours.
    fn mark_connected(&self, key: A, now_ns: u64);

    /// Whether `sight` was told within the repeat window; if not, it is from now on.
    fn is_repeat(&self, key: &DedupKey<A>, now_ns: u64) -> bool;

    /// Enters `key` in the blocked map, unless a block that isn't over stands there.
    fn block(&self, key: A, block: &Block) -> Entry;

    /// Whether `source` is fenced now, by its network or alone, as with a block.
    fn is_fenced(&self, source: &A, key: &A, may_be_alone: bool) -> bool;

    /// Adds one to the dropped packets of a fenced source.
    fn count_fenced(&self, source: A);

    /// Enters `key` in the fenced map, unless a fence that isn't over stands there.
    fn fence(&self, key: A, block: &Block) -> Entry;

    /// Takes `key` out of the fenced map.
    fn unfence(&self, key: A);

    /// Has the packet of `flow` handed to the daemon's own socket, unless another socket takes it.
    fn steer(&self, flow: &Flow<A>);

    /// The connection between the two ends, in any state that takes its segments.
    fn connection(&self, flow: &Flow<A>) -> Connection;

    /// Whether a UDP socket of ours waits for the datagram: one connected to its source, or on an ephemeral port.
    fn is_expected(&self, flow: &Flow<A>) -> bool;
}
