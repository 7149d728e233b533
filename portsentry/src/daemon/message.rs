//! What the keeper's thread is told.

use std::{net::SocketAddr, path::PathBuf, time::SystemTime};

use portsentry_common::classify::Protocol;

use super::control::Asked;
use crate::{host::Host, policy::Sighting};

/// What the keeper is told.
#[derive(Debug)]
pub enum Message {
    /// The kernel told of a probe.
    Sighting(Sighting),
    /// Somebody came to a trap.
    Visit(Visit),
    /// The host's addresses, gateways or resolvers may have changed.
    Host(Host),
    /// The ring's reader had to leave out this many sightings, because the keeper was behind.
    Lost(u64),
    /// Something else for the log.
    Note(String),
    /// What the kernel program says of itself.
    Debug(Vec<String>),
    /// The configuration was read again and is wrong, for these reasons.
    Refused(Vec<String>),
    /// A file that the daemon reads may have changed.
    Changed(PathBuf),
    /// Log a summary.
    Summary,
    /// Somebody asks at the control socket.
    Asked(Asked),
    /// Write what is left, and end.
    Stop(Finish),
}

/// What becomes of the kernel's side when the keeper ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It is detached; the maps stay pinned.
    Detach,
    /// It is detached, and nothing stays pinned.
    Remove,
    /// It stays attached for another process.
    Leave,
    /// It stays attached for this process's next configuration.
    Hand,
}

/// A connection to a trap, or a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// When.
    pub time: SystemTime,
    /// Who.
    pub source: SocketAddr,
    /// Where to.
    pub destination: SocketAddr,
    /// By which protocol.
    pub protocol: Protocol,
    /// The kernel waited for an acknowledgement that only the source could send: see [`crate::kernel::handshake`].
    pub is_proof: bool,
}
