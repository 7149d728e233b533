//! The knowledge of other hosts' ports, and of failed first contacts.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use portsentry_common::classify::Protocol;

pub(super) type Port = (Protocol, SocketAddr);

/// The knowledge of other hosts' ports.
#[derive(Clone, Debug, Default)]
pub(super) struct Learned {
    pub(super) asked: BTreeSet<(SocketAddr, Port)>,
    pub(super) served: BTreeSet<Port>,
    pub(super) refused: BTreeSet<Port>,
    /// The failures of each source.
    pub(super) failures: BTreeMap<IpAddr, Failed>,
}

/// A source's failures: ports that refused it, ports that refused others and haven't answered it yet, and ports that
/// served it.
#[derive(Clone, Debug, Default)]
pub(super) struct Failed {
    pub(super) refused: BTreeSet<SocketAddr>,
    pub(super) unanswered: BTreeSet<SocketAddr>,
    pub(super) served: BTreeSet<SocketAddr>,
}

/// A source's failed first contacts.
#[derive(Clone, Debug, Default)]
pub(super) struct Contacts {
    pub(super) failed: BTreeSet<SocketAddr>,
    pub(super) score: f64,
    pub(super) is_reported: bool,
    pub(super) are_enough: bool,
}
