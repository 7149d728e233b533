//! What each peer says about networks, limited in number.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::{HERE, Number, ONLY_HERE, claim::is_own};

/// A value for each pair of peer and network: the greatest that was said. Of a peer's values only the greatest count,
/// up to a quota; so what remains doesn't depend on the order or the repetition of what was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quota<T> {
    of: BTreeMap<IpNet, Vec<(Number, T)>>,
    by_peer: BTreeMap<Number, BTreeSet<(T, IpNet)>>,
    len: usize,
}

impl<T> Default for Quota<T> {
    fn default() -> Self {
        Self { of: BTreeMap::new(), by_peer: BTreeMap::new(), len: 0 }
    }
}

impl<T: Copy + Ord> Quota<T> {
    /// Enters a value, unless there is a greater one. Of this peer at most `each` remain, of all peers `all`. Returns
    /// the networks whose values have changed.
    pub(super) fn say(
        &mut self,
        peer: Number,
        network: IpNet,
        value: T,
        (each, all): (usize, usize),
    ) -> Vec<IpNet> {
        if self.get(peer, network).is_some_and(|before| before >= value) {
            return Vec::new();
        }
        let mut changed = vec![network];
        self.remove(peer, network);
        let values = self.of.entry(network).or_default();
        values.insert(values.partition_point(|(of, _)| *of < peer), (peer, value));
        self.by_peer.entry(peer).or_default().insert((value, network));
        self.len += 1;
        while self.count(peer) > each {
            changed.extend(self.remove_least(peer));
        }
        // What administrators of this gateway say isn't at the peers' expense, nor at their mercy.
        while self.len - self.count(HERE) - self.count(ONLY_HERE) > all {
            let peers = self.by_peer.iter().filter(|(peer, _)| !is_own(**peer));
            let least = peers.filter_map(|(peer, of)| Some((*of.first()?, *peer))).min();
            let Some((_, least)) = least else { break };
            changed.extend(self.remove_least(least));
        }
        changed
    }

    /// Removes all values of a peer. Returns their networks.
    pub(super) fn forget(&mut self, peer: Number) -> Vec<IpNet> {
        let networks: Vec<IpNet> =
            self.by_peer.get(&peer).into_iter().flatten().map(|(_, network)| *network).collect();
        networks.iter().for_each(|network| self.remove(peer, *network));
        networks
    }

    /// Removes the values for which `is_over` holds. Returns their networks.
    pub(super) fn expire(&mut self, is_over: impl Fn(&T) -> bool) -> Vec<IpNet> {
        let over =
            self.by_peer.iter().flat_map(|(peer, of)| of.iter().map(move |(value, it)| (*peer, value, *it)));
        let over: Vec<(Number, IpNet)> =
            over.filter(|(_, value, _)| is_over(value)).map(|(peer, _, network)| (peer, network)).collect();
        over.iter().for_each(|(peer, network)| self.remove(*peer, *network));
        over.into_iter().map(|(_, network)| network).collect()
    }

    /// Returns what peers say about a network.
    pub(super) fn about(&self, network: IpNet) -> impl Iterator<Item = (Number, T)> + '_ {
        self.of.get(&network).into_iter().flatten().copied()
    }

    /// Returns the networks about which a peer says something.
    pub(super) fn of_peer(&self, peer: Number) -> impl Iterator<Item = (T, IpNet)> + '_ {
        self.by_peer.get(&peer).into_iter().flatten().copied()
    }

    /// Returns the networks about which something is said.
    pub(super) fn networks(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.of.keys().copied()
    }

    /// Returns the networks in `network`, itself included, about which something is said.
    pub(super) fn within(&self, network: IpNet) -> impl Iterator<Item = IpNet> + '_ {
        let inside = self.of.range(network..).map(|(inner, _)| *inner);
        let inside = inside.take_while(move |inner| inner.addr() <= network.broadcast());
        inside.filter(move |inner| network.contains(inner))
    }

    /// Returns the number of values of a peer.
    pub(super) fn count(&self, peer: Number) -> usize {
        self.by_peer.get(&peer).map_or(0, BTreeSet::len)
    }

    fn get(&self, peer: Number, network: IpNet) -> Option<T> {
        self.about(network).find(|(of, _)| *of == peer).map(|(_, value)| value)
    }

    fn remove_least(&mut self, peer: Number) -> Option<IpNet> {
        let (_, network) = *self.by_peer.get(&peer)?.first()?;
        self.remove(peer, network);
        Some(network)
    }

    fn remove(&mut self, peer: Number, network: IpNet) {
        let Some(value) = self.get(peer, network) else { return };
        if let Some(values) = self.of.get_mut(&network) {
            values.retain(|(of, _)| *of != peer);
            if values.is_empty() {
                self.of.remove(&network);
            }
        }
        if let Some(values) = self.by_peer.get_mut(&peer) {
            values.remove(&(value, network));
            if values.is_empty() {
                self.by_peer.remove(&peer);
            }
        }
        self.len -= 1;
    }
}
