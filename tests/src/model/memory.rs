//! The memory of questions and learned ports.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr},
};

use portsentry_common::{classify::Protocol, failures::Failures};

pub(super) type Port = (Protocol, SocketAddr);

/// Questions and learned ports.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) asked: RefCell<HashSet<(SocketAddr, Port)>>,
    pub(super) served: RefCell<HashSet<Port>>,
    pub(super) refused: RefCell<HashSet<Port>>,
    pub(super) scans: super::learned::scans::Memory,
    pub(super) failures: RefCell<HashMap<IpAddr, Failures>>,
}
