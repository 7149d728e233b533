//! The memory of questions, learned ports and scans.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap, HashSet},
    net::{IpAddr, SocketAddr},
};

use portsentry_common::{
    classify::Protocol,
    failures::Failures,
    scan::{
        memory::{Probation, Suspects},
        state::State,
    },
};

pub(super) type Port = (Protocol, SocketAddr);

/// Questions and learned ports.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) asked: RefCell<HashSet<(SocketAddr, Port)>>,
    pub(super) served: RefCell<HashSet<Port>>,
    pub(super) refused: RefCell<HashSet<Port>>,
    pub(super) scans: Scans,
    pub(super) failures: RefCell<HashMap<IpAddr, Failures>>,
}

impl Memory {
    /// Forgets the questions, and what answers have shown of addresses.
    pub(super) fn forget_questions(&mut self) {
        self.asked.take();
        self.scans.heard.take();
        self.scans.networks.take();
        self.scans.marks.take();
    }
}

/// Sets of sources by their numbers, and words about destinations by their places.
#[derive(Debug, Default)]
pub(super) struct Scans {
    pub(super) suspects: RefCell<HashMap<u32, Suspects>>,
    pub(super) probation: RefCell<HashMap<u32, Probation>>,
    pub(super) heard: RefCell<BTreeMap<usize, u64>>,
    pub(super) networks: RefCell<BTreeMap<usize, u32>>,
    pub(super) state: Cell<State>,
    pub(super) marks: RefCell<HashMap<(SocketAddr, Port), u8>>,
}
