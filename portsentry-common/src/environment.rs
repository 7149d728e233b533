//! What the rules ask of their environment: maps, sockets, a clock. The kernel program implements it with BPF maps
//! and helpers, tests and fuzzers with ordinary collections.

use crate::{
    block::Block,
    bound::{Horizon, Slot},
    challenge::{Constants, Secrets},
    classify::{Probe, Protocol},
    counter::Counter,
    event::Event,
    parse::Malformed,
    settings::Settings,
};

/// The owner of a destination address. The numbers cross the kernel boundary.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locality {
    /// Another host, or no single host: packets to it never count.
    Foreign = 0,
    /// This host.
    Own = 1,
    /// A host in a network behind this gateway that is watched, too (`PROTECTED_NETWORKS`).
    Protected = 2,
}

impl From<Option<u32>> for Locality {
    /// Converts the value of a locality map.
    #[inline(always)]
    fn from(number: Option<u32>) -> Self {
        match number {
            Some(1) => Self::Own,
            Some(2) => Self::Protected,
            _ => Self::Foreign,
        }
    }
}

/// The rate limits of each CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RateLimit {
    /// Events to the daemon (`EVENT_RATE`).
    Report,
    /// Fences (`FENCE_RATE`).
    Fence,
    /// Answers with a cookie (`CHALLENGE_RATE`).
    Answer,
    /// Checks of acknowledgements for a cookie (`CHALLENGE_RATE`).
    Check,
    /// Answer a fenced source's SYN, or forward it to a service.
    Syn,
    /// Learn a flow from what leaves.
    Learn,
}

/// Result of entering a block or fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The entry was made.
    Entered,
    /// Another CPU blocked the source a moment ago.
    Already,
    /// The map is full.
    Full,
}

/// The served addresses that a query covers.
#[repr(u64)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// Those of connected UDP sockets bound to a device above the interface that the packet came from.
    Connected,
    /// Those of all sockets bound to a device, for packets from this interface, or bound to this address alone.
    All,
    /// Those whose service must see the SYN itself (see [`crate::bound::NEEDS_SYN`]).
    BySyn,
}

/// A packet's source and destination.
#[derive(Clone, Copy, Debug)]
pub struct Flow<A> {
    /// Source address.
    pub source: A,
    /// Destination address.
    pub destination: A,
    /// The probe that the packet may be.
    pub probe: Probe,
}

/// Deduplication key of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DedupKey<A> {
    /// Address of the source's key (see [`SourceKey`]).
    pub source: A,
    /// Destination port, host byte order.
    pub port: u16,
    /// A [`crate::classify::Kind`].
    pub kind: u8,
}

/// The connection between two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// No connection.
    None,
    /// One whose SYN was answered and whose handshake isn't complete yet.
    Beginning,
    /// One that is being closed, or of which the other end has yet to answer our SYN.
    Passing,
    /// An established one.
    Established,
}

/// The completed handshakes of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeCount {
    /// Number of traps that the handshakes count for: see [`crate::tally::Tally::traps`].
    pub traps: u32,
    /// Whether the source uses an established connection to a service.
    pub is_connected: bool,
}

/// A source's relation to this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// None.
    Stranger,
    /// Its network is one that this host belongs to, as do a gateway and perhaps other machines of the administrator.
    Neighbour,
    /// It is ignored, or one of the addresses that are never blocked.
    Exempt,
}

/// The key by which a source is counted, limited and blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceKey<A> {
    /// The source's address, or the first of its network.
    pub address: A,
    /// Length of the network; 0 for the address alone.
    pub prefix: u8,
}

/// The part that both address families share.
pub trait Environment {
    /// The settings.
    fn settings(&self) -> &Settings;

    /// Returns the time, nanoseconds of `CLOCK_MONOTONIC`, with the resolution of a tick.
    fn now_ns(&self) -> u64;

    /// Returns the time of the daemon's last heartbeat, nanoseconds of `CLOCK_MONOTONIC`.
    fn heartbeat_ns(&self) -> u64;

    /// Returns the index of the interface that received the frame.
    fn interface(&self) -> u32;

    /// Whether other devices lie above that interface, as a bridge, a VLAN device or a VRF: a look-up that is made with the
    /// interface doesn't find sockets that are bound to those.
    fn has_devices_above(&self) -> bool;

    /// Adds one to `counter`.
    fn count(&self, counter: Counter);

    /// Adds one to the counter of `cause`.
    fn count_malformed(&self, cause: Malformed) {
        self.count(cause.into());
    }

    /// Whether `port` (host byte order) is watched, by list or in advanced mode.
    fn is_watched(&self, protocol: Protocol, port: u16) -> bool;

    /// Whether `port` (host byte order) is watched by list.
    fn is_listed(&self, protocol: Protocol, port: u16) -> bool;

    /// Takes a token from the bucket of `limit`; `false` if it is empty at `now_ns`.
    fn try_acquire(&self, limit: RateLimit, now_ns: u64) -> bool;

    /// Returns the horizon of the table of bound ports.
    fn horizon(&self) -> &Horizon;

    /// Whether a fenced source's SYN to `port` (host byte order) always reaches the network stack (`ADVANCED_EXCLUDE_TCP`).
    fn is_excluded(&self, port: u16) -> bool;

    /// What an answer of the network stack's says of this host, for packets by the frame's interface.
    fn constants(&self) -> Constants;

    /// Returns the keys of the cookies, if there are any.
    fn secrets(&self) -> Option<&Secrets>;

    /// Hands `event` to the daemon; `false` if the ring is full.
    fn report(&self, event: &Event) -> bool;
}

/// The maps of the fast path.
pub trait FastMaps<A> {
    /// Whether a blocked or fenced source may have this bit in the gate (see [`crate::gate`]). If `true`,
    /// [`FamilyMaps::is_blocked`] and [`FamilyMaps::is_fenced`] decide.
    fn may_be_blocked(&self, bit: u32) -> bool;

    /// Whether a packet to the same destination and port (host byte order) was benign a moment ago: see
    /// [`FamilyMaps::remember`]. If `false`, the other checks decide. `ending` is the destination's last octets,
    /// which a caller with the packet at hand reads directly instead of extracting them.
    fn is_known_benign(&self, destination: A, ending: u16, protocol: Protocol, port: u16) -> bool;
}

/// The maps of one address family. Queries take the source's address, entries its key (see [`SourceKey`]). Some are
/// passed by reference to where they lie: a map takes a pointer, and a copy would cost stack.
pub trait FamilyMaps<A>: Environment + FastMaps<A> {
    /// Whether any source may be held alone that shares a network with others.
    fn may_be_alone(&self) -> bool;

    /// Whether `source` is blocked now, by the `key` of its network or alone; if so, adds one to its dropped packets.
    /// Exempt sources and neighbours are not held by a network.
    fn is_blocked(&self, source: &A, key: &A, may_be_alone: bool) -> bool;

    /// Whether a blocked network contains `source`, and no ignored network does; if so, adds one to the dropped
    /// packets. Called only if [`FastMaps::may_be_blocked`].
    fn is_in_blocked_network(&self, source: A) -> bool;

    /// Returns the relation of `source` to this host.
    fn relation(&self, source: A) -> Relation;

    /// Returns the owner of `destination`.
    fn locality(&self, destination: A) -> Locality;

    /// Caches, if the settings allow it, that packets to this destination and port (host byte order) are benign.
    fn remember(&self, destination: A, protocol: Protocol, port: u16);

    /// Returns the entry of `port` (host byte order) in the table of bound ports of this address family.
    fn slot(&self, protocol: Protocol, port: u16) -> Slot;

    /// Whether the map of served addresses holds the packet's destination with a stamp later than `horizon`.
    fn is_in_served(&self, flow: &Flow<A>, which: Served, horizon: u32) -> bool;

    /// Whether a socket explains the packet now: one that listens or is bound on the destination, or a connection
    /// between the two ends. One in TIME-WAIT explains only segments of its connection.
    fn has_socket(&self, flow: &Flow<A>) -> bool;

    /// Counts a probe of the source `key` to a `pair` (see [`crate::tally::pair`]); returns the number of distinct
    /// pairs it has probed.
    fn tally(&self, key: A, pair: u32, now_ns: u64) -> u32;

    /// Counts a handshake of the source `key` with the trap at `pair`.
    fn count_handshake(&self, key: A, pair: u32, now_ns: u64) -> HandshakeCount;

    /// Records that the source `key` uses an established connection to a service.
    fn mark_connected(&self, key: A, now_ns: u64);

    /// Whether a probe with this `key` was reported within `REPEAT_WINDOW`; if not, records it as reported.
    fn is_repeat(&self, key: &DedupKey<A>, now_ns: u64) -> bool;

    /// Enters `key` in the blocked map, unless a block of it is in force.
    fn block(&self, key: A, block: &Block) -> Entry;

    /// Whether `source` is fenced now, by the `key` of its network or alone.
    fn is_fenced(&self, source: &A, key: &A, may_be_alone: bool) -> bool;

    /// Adds one to the dropped packets of a fenced source.
    fn count_fenced(&self, source: &A);

    /// Takes one of the fenced `source`'s own allowance (see [`crate::pace`]); `false` if none is left at `now_ns`.
    fn pace(&self, source: &A, now_ns: u64) -> bool;

    /// Whether another acknowledgement of the fenced `source`'s is checked at `now_ns` (see [`crate::pace`]).
    fn may_guess(&self, source: &A, now_ns: u64) -> bool;

    /// Counts a wrong acknowledgement of the fenced `source`'s.
    fn count_guess(&self, source: &A, now_ns: u64);

    /// When the host last sent to the packet's source, from the port that it goes to: nanoseconds of `CLOCK_MONOTONIC`; 0
    /// for never. So far as it is remembered.
    fn last_sent_ns(&self, flow: &Flow<A>) -> u64;

    /// Whether the segment acknowledges a SYN cookie of the kernel's own (`net.ipv4.tcp_syncookies`). Its IP header, which
    /// has no options, begins after `offset` bytes of the frame.
    fn is_cookie_of_kernel(&self, flow: &Flow<A>, offset: usize) -> bool;

    /// Has the kernel make a connection of the segment of `flow`, and records it as opened while its source is fenced.
    fn accept(&self, flow: &Flow<A>);

    /// Records a connection as opened while its source is fenced.
    fn mark_opened(&self, flow: &Flow<A>);

    /// Whether the connection was opened while its source was fenced. (So far as it is remembered.)
    fn was_opened(&self, flow: &Flow<A>) -> bool;

    /// Enters `key` in the fenced map, unless a fence of it is in force.
    fn fence(&self, key: A, block: &Block) -> Entry;

    /// Removes `key` from the fenced map.
    fn unfence(&self, key: A);

    /// Has the packet of `flow` delivered to the daemon's own socket, unless another socket accepts it.
    fn steer(&self, flow: &Flow<A>);

    /// Returns the connection between the two ends, in any state that accepts segments.
    fn connection(&self, flow: &Flow<A>) -> Connection;

    /// Whether a UDP socket of this host expects the datagram: one connected to its source, or one on an ephemeral
    /// port.
    fn is_expected(&self, flow: &Flow<A>) -> bool;
}
