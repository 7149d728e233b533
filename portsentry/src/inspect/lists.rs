//! The block lists, with their entries and hits.

use std::{fs, net::IpAddr, path::PathBuf};

use ipnet::IpNet;
use portsentry_common::block::Origin;
use serde::{Deserialize, Serialize};

use super::error::Error;
use crate::{
    config::{
        BlockList, Config,
        lists::{self, NamedList},
    },
    instant::Time,
    kernel::Observer,
    policy::{State, network_of},
};

/// Name of the administrator's list.
pub const OWN: &str = "BLOCK_LIST";

/// A block list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListState {
    /// Its name; `BLOCK_LIST` for the administrator's.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Number of hosts that it names.
    pub hosts: usize,
    /// Number of networks that it names.
    pub networks: usize,
    /// Number of its entries that are blocked by a list now. `None` without the kernel's maps.
    pub in_force: Option<u64>,
    /// Number of packets that these lost.
    pub dropped: Option<u64>,
    /// Time of the file's last change.
    pub modified: Option<Time>,
    /// The error in the file. The daemon keeps its last valid content.
    pub problem: Option<String>,
}

/// Returns the lists. One without a file, or with an error, has no entries.
pub fn read(config: &Config) -> Result<Vec<ListState>, Error> {
    let observer = Observer::open(&config.pin_path)?;
    let (lists, problems) = all(config);
    let mut held: Vec<(IpNet, u64)> = Vec::new();
    if let Some(observer) = &observer {
        let is_of_list = |origin: u8| origin == Origin::List as u8;
        observer.walk(State::Blocked, |source, block| {
            if is_of_list(block.origin) {
                held.push((network_of(source, block.prefix), block.dropped));
            }
        })?;
        let networks = observer.networks()?.into_iter().filter(|(_, block)| is_of_list(block.origin));
        held.extend(networks.map(|(network, block)| (network, block.dropped)));
    }
    let mut states: Vec<ListState> = lists
        .into_iter()
        .map(|list| {
            let (count, sum) = lists::hits(&list.list, &held);
            ListState {
                hosts: list.list.hosts.len(),
                networks: list.list.networks.len(),
                in_force: observer.is_some().then_some(count),
                dropped: observer.is_some().then_some(sum),
                modified: Some(Time::whole(list.modified)),
                problem: None,
                name: list.name,
                path: list.path,
            }
        })
        .collect();
    let directory = config.block_lists.clone().unwrap_or_default();
    let broken = problems.into_iter().map(|(name, problem)| ListState {
        path: directory.clone(),
        hosts: 0,
        networks: 0,
        in_force: None,
        dropped: None,
        modified: None,
        problem: Some(problem),
        name,
    });
    states.extend(broken);
    Ok(states)
}

/// Returns the names of the lists that contain `address`, itself or in a network.
#[must_use]
pub fn naming(config: &Config, address: IpAddr) -> Vec<String> {
    let (lists, _) = all(config);
    let contains = |list: &BlockList| {
        list.names(address) || list.networks.iter().any(|network| network.contains(&address))
    };
    lists.into_iter().filter(|list| contains(&list.list)).map(|list| list.name).collect()
}

/// Reads all lists. The administrator's comes first, if it has entries.
fn all(config: &Config) -> (Vec<NamedList>, Vec<(String, String)>) {
    let path = config.block_list.clone();
    let (own, problems) = BlockList::salvage(&path);
    let mut problems: Vec<(String, String)> =
        problems.into_iter().take(1).map(|problem| (OWN.to_owned(), problem)).collect();
    let modified = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok();
    let own = modified.filter(|_| !own.is_empty()).map(|modified| NamedList {
        name: OWN.into(),
        path,
        modified,
        list: own,
    });
    let found = config.block_lists.as_deref().map(lists::read).unwrap_or_default();
    problems.extend(found.problems);
    (own.into_iter().chain(found.lists).collect(), problems)
}
