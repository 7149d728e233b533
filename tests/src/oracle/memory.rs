//! The knowledge of other hosts' ports, and of failed first contacts.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use ipnet::IpNet;
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

/// An address, and a port or 0.
pub(super) type Address = (IpAddr, u16);

/// What answers have shown of addresses.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    /// The addresses that have answered.
    pub(super) alive: BTreeSet<Address>,
    /// The networks from which an answer came.
    pub(super) networks: BTreeSet<IpNet>,
    /// The seconds at which addresses were first asked.
    pub(super) asked: BTreeMap<Address, u64>,
    /// The clients and ports of SYNs whose contacts failed, until their answers come.
    pub(super) marked: BTreeSet<(SocketAddr, SocketAddr)>,
}
