//! The knowledge of other hosts' ports.

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
    /// For each source, the ports that refused it, and those that served it since.
    pub(super) failures: BTreeMap<IpAddr, (Vec<Port>, BTreeSet<Port>)>,
}
