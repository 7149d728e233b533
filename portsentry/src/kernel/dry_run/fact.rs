//! The facts by which the rules decided a packet.

use ipnet::IpNet;
use portsentry_common::{
    block::Block,
    counter::Counter,
    environment::{Connection, Entry, HandshakeCount, Locality, RateLimit, Relation},
    event::Event,
};

use super::sockets::FoundSocket;
use crate::policy::State;

/// A fact, or a change that the rules would make. In the order in which they came up.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// No block is enforced, because no daemon has run for `OPEN_AFTER`.
    NotEnforced,
    /// The source is blocked or fenced, alone or with its network.
    Held(State, IpNet, Block),
    /// The source is neither blocked nor fenced.
    Free,
    /// Whether the port is watched, and if so, whether by list.
    Watched(Option<bool>),
    /// The owner of the destination.
    Locality(Locality),
    /// The relation of the source to this host, and the network of the ignored maps that contains it, with the
    /// number of its reason.
    Relation(Relation, Option<(IpNet, u32)>),
    /// The table of bound ports says that a socket accepts packets to every address, or did within `SERVED_GRACE`.
    Open,
    /// The table of bound ports says that no socket is bound to the port.
    Unbound,
    /// The socket that would receive the packet.
    Socket(Option<FoundSocket>),
    /// A socket bound to the address or to a device serves the port.
    Served,
    /// The connection that the packet belongs to.
    Connection(Connection),
    /// The number of distinct probes of the source, including this one.
    Tally(u32),
    /// The handshakes of the source with traps, including this one.
    Handshakes(HandshakeCount),
    /// The destination's port has answered within a day.
    LearnedServed,
    /// The destination's port has refused, and hasn't answered since.
    LearnedRefused,
    /// The number of the source's failed connections, including this one.
    Failures(u32),
    /// The source would be entered in a map.
    Entered(State, IpNet, Block, Entry),
    /// The packet would be handed to the daemon's own socket.
    Steered,
    /// A connection to a service would be opened.
    Accepted,
    /// A rate limit is exhausted, so that the rules take no token.
    Exhausted(RateLimit),
    /// The fenced source has used up its own rate.
    Paced,
    /// A counter would be increased.
    Counted(Counter),
    /// The daemon would be told this.
    Reported(Event),
}
