//! The block list and its path.

use std::path::{Path, PathBuf};

use ipnet::IpNet;

use crate::{
    config::{BlockList, Config},
    policy::is_host,
};

/// The block list and its path.
#[derive(Debug)]
pub(super) struct Listed {
    pub list: BlockList,
    pub path: PathBuf,
}

impl Listed {
    pub(super) fn new(list: BlockList, config: &Config) -> Self {
        Self { list, path: config.block_list.clone() }
    }

    /// Whether `path` is the list's path.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        self.path == path
    }

    /// Whether the list contains a network.
    pub(super) fn names(&self, network: IpNet) -> bool {
        if is_host(network) { self.list.names(network.addr()) } else { self.list.networks.contains(&network) }
    }

    /// Whether the list is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
