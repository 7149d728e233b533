//! Follows the block lists: their entries are blocked in the kernel's maps, but not recorded in PortSentry's files.

use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
    time::Instant,
};

use ipnet::IpNet;
use portsentry_common::block::{Block, Origin};

use super::{
    Keeper,
    entries::{entry_of, listed_entry},
};
use crate::{
    config::block_list,
    kernel,
    policy::{
        is_host,
        register::{Admission, Release},
    },
};

impl Keeper {
    /// Reloads the block list.
    pub(super) fn on_block_list(&mut self) {
        match block_list::load(&self.listed.path) {
            Ok(list) if list == self.listed.own => {}
            Ok(list) => {
                self.listed.own = list;
                self.listed.merge();
                match self.set_listed() {
                    Ok(()) => self.journal.note(&format!(
                        "{} reloaded: it blocks {} hosts and {} networks",
                        self.listed.path.display(),
                        self.listed.own.hosts.len(),
                        self.listed.own.networks.len()
                    )),
                    Err(error) => self.journal.error(&error),
                }
            }
            Err(error) => self.journal.error(&format!("{error}; the block list is unchanged")),
        }
        let (changes, problems) = self.listed.refresh();
        problems.iter().for_each(|problem| self.journal.error(problem));
        if !changes.is_empty() {
            self.listed.merge();
            match self.set_listed() {
                Ok(()) => self.journal.note(&format!("Block lists reloaded: {}", changes.join(", "))),
                Err(error) => self.journal.error(&error),
            }
        }
    }

    /// Counts the hits of the lists, if that is due.
    pub(super) fn count_lists(&mut self) -> Result<(), kernel::Error> {
        if self.listed.is_count_due() {
            let begin = Instant::now();
            let (hosts, networks) = (self.kernel.blocked.read()?, self.kernel.networks.read()?);
            self.totals.lists = self.listed.count(&hosts, &networks, begin);
        }
        Ok(())
    }

    /// Whether the list contains a network, so that it stays blocked without its other block.
    pub(super) fn is_listed(&self, network: IpNet) -> bool {
        self.listed.names(network) && !self.scope.exempt().cover(network)
    }

    /// Blocks exactly the entries of the list in the kernel, except exempt ones. A source with another block stays
    /// blocked.
    pub(super) fn set_listed(&mut self) -> Result<(), kernel::Error> {
        let blocked = self.kernel.blocked.read()?;
        self.set_listed_beside(&blocked)
    }

    /// Like [`Keeper::set_listed`], with the known contents of the kernel's map. Entries that the register has made
    /// since then count, too. A list may have a million entries, so changes are made in batches.
    pub(super) fn set_listed_beside(&mut self, blocked: &[(IpAddr, Block)]) -> Result<(), kernel::Error> {
        // Sorted, like the list, so that successive searches stay local.
        // The list replaces peers' entries, which end.
        let others = blocked.iter().filter(|(_, block)| block.origin != Origin::Peer as u8);
        let mut held: Vec<(IpAddr, u8)> = others.map(|(source, block)| (*source, block.origin)).collect();
        held.sort_unstable();
        let (list, ledger) = (&self.listed.list, self.register.ledger());
        let exempt: HashSet<&IpAddr> =
            self.scope.exempt().networks().flat_map(|network| list.hosts_in(&network)).collect();
        let is_wanted = |source: &IpAddr| list.names(*source) && !exempt.contains(source);
        let is_held = |source: &IpAddr| {
            held.binary_search_by_key(source, |(source, _)| *source).is_ok()
                || ledger.get((*source).into()).is_some_and(|hold| !hold.is_fence)
        };
        let gone = held.iter().filter(|(source, origin)| *origin == Origin::List as u8 && !is_wanted(source));
        let gone: Vec<IpAddr> = gone.map(|(source, _)| *source).collect();
        let new = list.hosts.iter().filter(|source| !is_held(source) && !exempt.contains(source));
        let new: Vec<(IpAddr, Block)> = new.map(|source| (*source, listed_entry())).collect();
        let mut networks: BTreeMap<_, _> =
            list.networks.iter().map(|network| (*network, listed_entry())).collect();
        // An administrator's blocks of networks are in the same map.
        let others = ledger
            .records()
            .filter(|record| !is_host(record.network) && !self.scope.is_prefix(record.network));
        networks.extend(others.map(|record| (record.network, entry_of(record.network, &record.hold))));
        self.kernel.blocked.remove_all(gone.iter().copied())?;
        self.totals.stats.count_released(Release::Administrator.name(), gone.len());
        // Both are tried, even if the first fails.
        let hosts = self.kernel.blocked.insert_all(&new);
        if hosts.is_ok() {
            self.totals.stats.count_admitted(Admission::List.name(), new.len());
        }
        match (hosts, self.kernel.networks.replace(&networks)) {
            (Err(hosts), Err(networks)) => {
                self.journal.error(&hosts);
                Err(networks)
            }
            (hosts, networks) => hosts.and(networks),
        }
    }
}
