//! The rules' environment: maps, sockets, and a clock. The kernel program implements it with BPF maps and helpers,
//! tests and fuzzers with ordinary collections.

use crate::{
    block::Block,
    bound::{Horizon, Slot},
    challenge::{Constants, Secrets},
    classify::{Kind, Protocol},
    counter::Counter,
    event::Event,
    flow::Flow,
    gate::Near,
    learned::Learned,
    parse::Malformed,
    scan::contacts::Scans,
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
    /// A host in a watched network behind this gateway (`PROTECTED_NETWORKS`).
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

/// The rate limits, which apply per CPU.
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
    /// Answers to fenced sources' SYNs, and SYNs forwarded to services.
    Syn,
    /// Flows and ports learnt from outgoing packets.
    Learn,
    /// Sources whose failed connections are counted.
    Fail,
    /// First failures of which the daemon is told (`SCAN_DETECTION`).
    Contact,
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

/// The kinds of served addresses that a query can cover.
#[repr(u64)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// Addresses of connected UDP sockets on a device above the receiving interface.
    Connected,
    /// Addresses of all sockets bound to a device, for packets from this interface, or bound only to this address.
    All,
    /// Addresses whose service must see the SYN itself (see [`crate::bound::NEEDS_SYN`]).
    BySyn,
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
    /// A connection whose SYN was answered, and whose handshake isn't complete yet.
    Beginning,
    /// A connection that is closing, or whose SYN, sent by this host, is unanswered.
    Passing,
    /// An established connection.
    Established,
}

/// The completed handshakes of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeCount {
    /// Number of traps, as counted by [`crate::tally::Tally::traps`].
    pub traps: u32,
    /// Whether the source uses an established connection to a service.
    pub is_connected: bool,
}

/// A source's relation to this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// None.
    Stranger,
    /// It is in a network of this host's links, like a gateway and perhaps other machines of the administrator.
    Neighbour,
    /// It is ignored, or one of the addresses that are never blocked.
    Exempt,
}

/// The key by which a source is counted, limited and blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceKey<A> {
    /// The source's address, or the first address of its network.
    pub address: A,
    /// Length of the network, or 0 for the address alone.
    pub prefix: u8,
}

/// The part that both address families share.
pub trait Environment {
    /// The settings.
    fn settings(&self) -> &Settings;

    /// Returns the time in nanoseconds of `CLOCK_MONOTONIC`, with the resolution of a tick.
    fn now_ns(&self) -> u64;

    /// Returns the time of the daemon's last heartbeat, in nanoseconds of `CLOCK_MONOTONIC`.
    fn heartbeat_ns(&self) -> u64;

    /// Returns the index of the interface that received the frame.
    fn interface(&self) -> u32;

    /// Whether other devices lie above that interface, such as a bridge, a VLAN device or a VRF. A look-up from the
    /// interface doesn't find sockets bound to such a device.
    fn has_devices_above(&self) -> bool;

    /// Adds one to `counter`.
    fn count(&self, counter: Counter);

    /// Adds one to the counter of this kind of probe.
    fn count_kind(&self, kind: Kind) {
        self.count(kind.into());
    }

    /// Adds one to the counter of `cause`.
    fn count_malformed(&self, cause: Malformed) {
        self.count(cause.into());
    }

    /// Whether `port` (host byte order) is watched, by list or in advanced mode.
    fn is_watched(&self, protocol: Protocol, port: u16) -> bool;

    /// Whether `port` (host byte order) is watched by list.
    fn is_listed(&self, protocol: Protocol, port: u16) -> bool;

    /// Takes a token from the bucket of `limit`. Returns `false` if it is empty at `now_ns`.
    fn try_acquire(&self, limit: RateLimit, now_ns: u64) -> bool;

    /// Returns the horizon of the table of bound ports.
    fn horizon(&self) -> &Horizon;

    /// Whether a fenced source's SYN to `port` (host byte order) always reaches the network stack
    /// (`ADVANCED_EXCLUDE_TCP`).
    fn is_excluded(&self, port: u16) -> bool;

    /// Returns the constant fields of the network stack's answers, for packets that leave through the frame's
    /// interface.
    fn constants(&self) -> Constants;

    /// Returns the keys of the cookies, if there are any.
    fn secrets(&self) -> Option<&Secrets>;

    /// Hands `event` to the daemon. Returns `false` if the ring is full.
    fn report(&self, event: &Event) -> bool;
}

/// The maps of the fast path.
pub trait FastMaps<A> {
    /// Returns the maps that may hold a source with this bit in the gate (see [`crate::gate`]).
    /// [`FamilyMaps::is_blocked`] and [`FamilyMaps::fence_of`] decide.
    fn near(&self, bit: u32) -> Near;

    /// Whether a packet to the same destination and port (host byte order) was benign a moment ago: see
    /// [`FamilyMaps::remember`]. If not, the other checks decide. `ending` is the destination's last octets, which
    /// a caller with the packet at hand can read directly.
    fn is_known_benign(&self, destination: A, ending: u16, protocol: Protocol, port: u16) -> bool;
}

/// The maps of one address family. Queries take the source's address, entries take its key (see [`SourceKey`]).
/// Some take references into the packet, because a map takes a pointer, and a copy would cost stack.
pub trait FamilyMaps<A>: Environment + FastMaps<A> + Learned<A> + Scans<A> {
    /// A fence in its map.
    type Fence: Copy;

    /// Whether a source that shares a network with others may be blocked or fenced by itself.
    fn may_be_alone(&self) -> bool;

    /// Whether `source` is blocked now, alone or by its network's `key`. If so, adds one to its dropped packets. A
    /// network's block doesn't cover exempt sources and neighbours.
    fn is_blocked(&self, source: &A, key: &A, may_be_alone: bool) -> bool;

    /// Whether a blocked network contains `source`, and no ignored network does. If so, adds one to the dropped
    /// packets. Called only if a blocked source may be [`FastMaps::near`].
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
    /// between the two ends. A socket in TIME-WAIT explains only segments of its connection.
    fn has_socket(&self, flow: &Flow<A>) -> bool;

    /// Counts a probe of the source `key` to a `pair` (see [`crate::tally::pair`]). Returns the number of distinct
    /// pairs that the source has probed.
    fn tally(&self, key: A, pair: u32, now_ns: u64) -> u32;

    /// Counts a handshake of the source `key` with the trap at `pair`.
    fn count_handshake(&self, key: A, pair: u32, now_ns: u64) -> HandshakeCount;

    /// Records that the source `key` uses an established connection to a service.
    fn mark_connected(&self, key: A, now_ns: u64);

    /// Whether a probe with this `key` was reported within `REPEAT_WINDOW`. If not, records it as reported.
    fn is_repeat(&self, key: &DedupKey<A>, now_ns: u64) -> bool;

    /// Enters `key` in the blocked map, unless a block of it is in force.
    fn block(&self, key: A, block: &Block) -> Entry;

    /// Returns the fence of `source` that is in force now, alone or by its network's `key`.
    fn fence_of(&self, source: &A, key: &A, may_be_alone: bool) -> Option<Self::Fence>;

    /// Adds one to the dropped packets of a fenced source.
    fn count_dropped(&self, fence: Self::Fence);

    /// Does the same, given the source.
    fn count_fenced(&self, source: &A);

    /// Takes a token of the fenced `source`'s own rate limit (see [`crate::pace`]). Returns `false` if none is left
    /// at `now_ns`. `fence` is the source's, if the caller knows it.
    fn pace(&self, source: &A, fence: Option<Self::Fence>, now_ns: u64) -> bool;

    /// Whether another acknowledgement of the fenced `source` may be checked at `now_ns` (see [`crate::pace`]).
    fn may_guess(&self, source: &A, now_ns: u64) -> bool;

    /// Counts a wrong acknowledgement of the fenced `source`.
    fn count_guess(&self, source: &A, now_ns: u64);

    /// Returns the recorded time when the host last sent a packet to the source of `flow`, from the port to which
    /// `flow` goes. In nanoseconds of `CLOCK_MONOTONIC`, or 0 if there is no record.
    fn last_sent_ns(&self, flow: &Flow<A>) -> u64;

    /// Whether the segment acknowledges a SYN cookie of the kernel (`net.ipv4.tcp_syncookies`). Its IP header
    /// starts at `offset` in the frame, and has no options.
    fn is_cookie_of_kernel(&self, flow: &Flow<A>, offset: usize) -> bool;

    /// Makes the kernel open a connection for the segment of `flow`, and records it as opened while its source is
    /// fenced.
    fn accept(&self, flow: &Flow<A>);

    /// Records a connection as opened while its source is fenced.
    fn mark_opened(&self, flow: &Flow<A>);

    /// Whether the connection is recorded as opened while its source was fenced.
    fn was_opened(&self, flow: &Flow<A>) -> bool;

    /// Enters `key` in the fenced map, unless a fence of it is in force.
    fn fence(&self, key: A, block: &Block) -> Entry;

    /// Removes `key` from the fenced map.
    fn unfence(&self, key: A);

    /// Delivers the packet of `flow` to the daemon's own socket, unless another socket accepts it.
    fn steer(&self, flow: &Flow<A>);

    /// Returns the connection between the two ends, in any state that accepts segments.
    fn connection(&self, flow: &Flow<A>) -> Connection;

    /// Whether a UDP socket of this host expects the datagram: one connected to its source, or one on an ephemeral
    /// port.
    fn is_expected(&self, flow: &Flow<A>) -> bool;
}
