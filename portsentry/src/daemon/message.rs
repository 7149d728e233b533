//! Messages to the keeper's thread.

use std::{net::SocketAddr, path::PathBuf, sync::mpsc::SyncSender, time::SystemTime};

use portsentry_common::classify::Protocol;

use super::control::Asked;
use crate::{
    host::Host,
    inspect::fleet::{Report, Way},
    policy::{Sighting, peers::Word},
};

/// A message to the keeper.
#[derive(Debug)]
pub enum Message {
    /// The kernel reported a probe.
    Sighting(Sighting),
    /// Visits to traps.
    Visits(Vec<Visit>),
    /// The host's addresses, gateways or resolvers may have changed.
    Host(Host),
    /// The ring's reader dropped this many sightings, because the keeper was behind.
    Lost(u64),
    /// A message for the log. An error starts with `ERROR: `.
    News(String),
    /// Debug messages of the kernel program.
    Debug(Vec<String>),
    /// The new configuration is invalid, for these reasons.
    Refused(Vec<String>),
    /// A file that the daemon reads may have changed.
    Changed(PathBuf),
    /// Log a summary.
    Summary,
    /// A request at the control socket.
    Asked(Asked),
    /// The companion of a fleet.
    Companion(Companion),
    /// Write pending changes, and end.
    Stop(Finish),
}

/// Treatment of the kernel program when the keeper ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It is detached, and the maps stay pinned.
    Detach,
    /// It is detached, and all pins are removed.
    Remove,
    /// It stays attached for another process.
    Leave,
    /// It stays attached for this process's next configuration.
    Hand,
}

/// A connection to a trap, or a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// Time of the visit.
    pub time: SystemTime,
    /// Source address and port.
    pub source: SocketAddr,
    /// Destination address and port.
    pub destination: SocketAddr,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Whether the kernel waited for an acknowledgement that only the source could send: see
    /// [`crate::kernel::handshake`].
    pub is_proof: bool,
}

/// From the companion to the keeper.
#[derive(Debug)]
pub enum Companion {
    /// It has connected, and reads lines from the other end. Later connections have greater numbers.
    Joined(u64, SyncSender<String>),
    /// It says this. The sender is dropped when the keeper has heard it.
    Said(Word, SyncSender<()>),
    /// It reports on itself.
    Reported(Report),
    /// It reports on its ways other than the fleet's servers.
    Ways(Vec<Way>),
    /// The connection with this number ended, because of a malformed line or by itself.
    Left(u64, Option<String>),
}
