//! The keeper follows the block list: who it names is blocked in the kernel's maps, and in no file of ours.

use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
};

use portsentry_common::block::{Block, Origin, Proof};

use super::Keeper;
use crate::{config::block_list, kernel};

impl Keeper {
    /// Reads the block list again.
    pub(super) fn on_block_list(&mut self) {
        match block_list::load(&self.block_list) {
            Ok(list) if list == self.listed => {}
            Ok(list) => {
                self.listed = list;
                match self.set_listed() {
                    Ok(()) => self.journal.note(&format!(
                        "{} reloaded: it blocks {} hosts and {} networks",
                        self.block_list.display(),
                        self.listed.hosts.len(),
                        self.listed.networks.len()
                    )),
                    Err(error) => self.journal.error(&error),
                }
            }
            Err(error) => self.journal.error(&format!("{error}; the block list is unchanged")),
        }
    }

    /// Has the kernel block a source by the list whose other block is lifted; whether the list names it.
    pub(super) fn list_again(&mut self, source: IpAddr) -> Result<bool, kernel::Error> {
        let is_listed = self.listed.names(source) && !self.is_exempt(source);
        if is_listed {
            self.kernel.blocked.insert(source, &listed())?;
        }
        Ok(is_listed)
    }

    /// Has the kernel block exactly whom the list names, but for those who are never blocked. Who is blocked for
    /// another reason, too, stays as he is.
    pub(super) fn set_listed(&mut self) -> Result<(), kernel::Error> {
        let blocked = self.kernel.blocked.read()?;
        self.set_listed_beside(&blocked)
    }

    /// As [`Keeper::set_listed`], where the kernel's map is known; what the ledger has entered since then counts, too.
    pub(super) fn set_listed_beside(&mut self, blocked: &[(IpAddr, Block)]) -> Result<(), kernel::Error> {
        // In order, as the list is: a search near the last one is a short one.
        let mut held: Vec<(IpAddr, u8)> =
            blocked.iter().map(|(source, block)| (*source, block.origin)).collect();
        held.sort_unstable();
        let exempt: HashSet<&IpAddr> =
            self.scope.exempt().networks().flat_map(|network| self.listed.hosts_in(network)).collect();
        let is_wanted = |source: &IpAddr| self.listed.names(*source) && !exempt.contains(source);
        let is_held = |source: &IpAddr| {
            held.binary_search_by_key(source, |(source, _)| *source).is_ok()
                || self.ledger.get(*source).is_some_and(|hold| !hold.is_fence)
        };
        let gone = held.iter().filter(|(source, origin)| *origin == Origin::List as u8 && !is_wanted(source));
        let gone = gone.map(|(source, _)| *source);
        self.kernel.blocked.remove_all(gone)?;
        let block = listed();
        let new = self.listed.hosts.iter().filter(|source| !is_held(source) && !exempt.contains(source));
        let new: Vec<(IpAddr, Block)> = new.map(|source| (*source, block)).collect();
        let networks: BTreeMap<_, _> = self.listed.networks.iter().map(|network| (*network, block)).collect();
        // Both, whatever becomes of the first.
        let hosts = self.kernel.blocked.insert_all(&new);
        match (hosts, self.kernel.networks.replace(&networks)) {
            (Err(hosts), Err(networks)) => {
                self.journal.error(&hosts);
                Err(networks)
            }
            (hosts, networks) => hosts.and(networks),
        }
    }
}

/// The block of whom the list names.
fn listed() -> Block {
    Block {
        since_ns: kernel::monotonic_ns(),
        origin: Origin::List as u8,
        proof: Proof::Administrator as u8,
        mirrored: 1,
        ..bytemuck::Zeroable::zeroed()
    }
}
