//! This gateway's own blocks, as the daemon has told them. The ways other than the fleet's servers publish these and no
//! others, so that no block goes round in circles.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use ipnet::IpNet;
use portsentry::policy::peers::{Gateway, Millis, Said, Word, millis_of};
use tokio::sync::watch;

use crate::daemon::Told;

/// Blocks by source.
type BySource = BTreeMap<IpAddr, Said>;

/// The blocks.
#[derive(Debug, Default)]
pub struct Blocks {
    gateway: Gateway,
    prefix: u8,
    all: BySource,
    ends: BTreeSet<(Millis, IpAddr)>,
    /// Those that the daemon has told in its current connection, until they are all told.
    coming: Option<BySource>,
    is_whole: bool,
    revision: u64,
    changed: Millis,
}

impl Blocks {
    /// Returns the gateway's name.
    #[must_use]
    pub const fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Returns the length of the IPv6 networks that count as one source.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether the daemon has told all blocks.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Returns the number of changes.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns the moment of the last change.
    #[must_use]
    pub const fn changed(&self) -> Millis {
        self.changed
    }

    /// Returns the number of blocks.
    #[must_use]
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Returns the blocked networks, each with its block.
    pub fn iter(&self) -> impl Iterator<Item = (IpNet, &Said)> {
        self.all.iter().map(|(source, said)| (self.network(*source), said))
    }

    /// Returns the network of a source: its IPv6 network, if that is what is blocked.
    fn network(&self, source: IpAddr) -> IpNet {
        let network = IpNet::new(source, self.prefix).ok();
        let network = network.filter(|network| source.is_ipv6() && network.network() == source);
        network.unwrap_or_else(|| source.into())
    }

    /// Takes what the daemon tells. Returns whether anything has changed.
    fn take(&mut self, told: &Told, now: Millis) -> bool {
        match told {
            Told::Hello(gateway, prefix) => {
                (self.gateway, self.prefix, self.coming) = (gateway.clone(), *prefix, Some(BTreeMap::new()));
                false
            }
            Told::Word(Word::Block { blocks, state, .. }) => {
                let mut has_changed = false;
                for said in blocks {
                    if let Some(coming) = &mut self.coming {
                        coming.insert(said.address, said.clone());
                    }
                    has_changed |= !*state && self.insert(said);
                }
                has_changed
            }
            Told::Word(_) | Told::Refused(..) => false,
            Told::Released(sources) => {
                let mut has_changed = false;
                for source in sources {
                    if let Some(coming) = &mut self.coming {
                        coming.remove(source);
                    }
                    has_changed |= self.remove(*source);
                }
                has_changed
            }
            Told::Synced => {
                let coming = self.coming.take().unwrap_or_default();
                let had_all = mem::replace(&mut self.is_whole, true);
                let has_changed = self.all != coming;
                if has_changed {
                    self.ends =
                        coming.values().filter_map(|said| Some((said.until?, said.address))).collect();
                    self.all = coming;
                }
                self.expire(now) || has_changed || !had_all
            }
        }
    }

    fn insert(&mut self, said: &Said) -> bool {
        if self.all.get(&said.address) == Some(said) {
            return false;
        }
        self.remove(said.address);
        self.ends.extend(said.until.map(|until| (until, said.address)));
        self.all.insert(said.address, said.clone());
        true
    }

    fn remove(&mut self, source: IpAddr) -> bool {
        let Some(said) = self.all.remove(&source) else { return false };
        if let Some(until) = said.until {
            self.ends.remove(&(until, source));
        }
        true
    }

    /// Forgets blocks that are over. Returns whether there were any.
    fn expire(&mut self, now: Millis) -> bool {
        let mut has_changed = false;
        while let Some((until, source)) = self.ends.first().copied().filter(|(until, _)| *until <= now) {
            self.ends.remove(&(until, source));
            self.all.remove(&source);
            has_changed = true;
        }
        has_changed
    }
}

/// The blocks, for those who publish them.
#[derive(Clone, Debug)]
pub struct Book {
    blocks: Arc<Mutex<Blocks>>,
    revision: watch::Sender<u64>,
}

impl Book {
    /// Creates a book without blocks.
    #[must_use]
    pub fn new() -> Self {
        Self { blocks: Arc::default(), revision: watch::Sender::new(0) }
    }

    /// Takes what the daemon tells.
    pub fn take(&self, told: &Told) {
        self.change(|blocks, now| blocks.take(told, now));
    }

    /// Forgets blocks that are over.
    pub fn expire(&self) {
        self.change(Blocks::expire);
    }

    fn change(&self, change: impl Fn(&mut Blocks, Millis) -> bool) {
        let now = millis_of(SystemTime::now());
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if change(&mut blocks, now) {
            blocks.changed = now;
            blocks.revision += 1;
            self.revision.send_replace(blocks.revision);
        }
    }

    /// Calls `look` with the blocks.
    pub fn look<T>(&self, look: impl FnOnce(&Blocks) -> T) -> T {
        look(&self.blocks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Follows the number of changes. It is 0 until the daemon has told all blocks.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }
}

#[cfg(test)]
mod tests;
