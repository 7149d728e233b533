//! The table of blocked and fenced networks, by network and by end.

mod agree;
mod clock;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    net::IpAddr,
    time::SystemTime,
};

use ipnet::IpNet;

pub use self::agree::{Edit, SourceState, TakeOver};
use super::hold::{Hold, PREFIXES, Record, network_of};

/// Maximum number of sources remembered as reported. When the set is full it is cleared, and some sources are
/// reported again.
const REPORTED: usize = 65_536;

/// Numbers of blocked and fenced sources, separately for IPv4 and IPv6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Blocked.
    pub blocked: [usize; 2],
    /// Fenced.
    pub fenced: [usize; 2],
}

impl Census {
    const fn of(&mut self, network: IpNet, hold: &Hold) -> &mut usize {
        let [ipv4, ipv6] = if hold.is_fence { &mut self.fenced } else { &mut self.blocked };
        match network {
            IpNet::V4(_) => ipv4,
            IpNet::V6(_) => ipv6,
        }
    }
}

/// The blocked and fenced networks, and the sources that are only reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    held: BTreeMap<IpNet, Hold>,
    /// Ends of blocks.
    ends: BTreeSet<(SystemTime, IpNet)>,
    /// Ends of fences.
    fence_ends: BTreeSet<(SystemTime, IpNet)>,
    /// With whether they were proven.
    reported: HashSet<(IpNet, bool)>,
    census: Census,
}

impl Ledger {
    /// Enters a network. Returns `false` if it is already there. A block replaces a fence.
    pub fn enter(&mut self, network: IpNet, hold: Hold) -> bool {
        match self.held.get(&network) {
            Some(standing) if !standing.is_fence || hold.is_fence => false,
            _ => {
                self.replace(network, hold);
                true
            }
        }
    }

    /// Enters a network, replacing an existing entry.
    pub fn replace(&mut self, network: IpNet, hold: Hold) {
        self.lift(network);
        let ends = if hold.is_fence { &mut self.fence_ends } else { &mut self.ends };
        ends.extend(hold.until.map(|until| (until, network)));
        *self.census.of(network, &hold) += 1;
        self.held.insert(network, hold);
    }

    /// Returns the fences that end first, beyond `most`, because the kernel's map has evicted the oldest, too.
    pub fn surplus(&self, most: usize) -> impl Iterator<Item = IpNet> + '_ {
        let count = self.fence_ends.len().saturating_sub(most);
        self.fence_ends.iter().take(count).map(|(_, network)| *network)
    }

    /// Returns the number of entries.
    #[must_use]
    pub const fn census(&self) -> Census {
        self.census
    }

    /// Removes a network; returns its entry if there was one.
    pub fn lift(&mut self, network: IpNet) -> Option<Record> {
        let hold = self.held.remove(&network)?;
        *self.census.of(network, &hold) -= 1;
        if let Some(until) = hold.until {
            self.ends.remove(&(until, network));
            self.fence_ends.remove(&(until, network));
        }
        Some(Record { network, hold })
    }

    /// Returns the networks that have expired at `now`.
    pub fn over(&self, now: SystemTime) -> impl Iterator<Item = IpNet> {
        let of = move |ends: &'_ BTreeSet<(SystemTime, IpNet)>| {
            ends.iter()
                .take_while(|(until, _)| *until <= now)
                .map(|(_, network)| *network)
                .collect::<Vec<_>>()
        };
        of(&self.ends).into_iter().chain(of(&self.fence_ends))
    }

    /// Returns the entry of a network.
    #[must_use]
    pub fn get(&self, network: IpNet) -> Option<&Hold> {
        self.held.get(&network)
    }

    /// Returns the entry of a source or of its IPv6 network.
    #[must_use]
    pub fn holding(&self, source: IpAddr) -> Option<Record> {
        let prefixes = if source.is_ipv6() { Some(PREFIXES) } else { None };
        [0].into_iter().chain(prefixes.into_iter().flatten().rev()).find_map(|prefix| {
            let network = network_of(source, prefix);
            Some(Record { network, hold: *self.get(network)? })
        })
    }

    /// Returns the entries in `network`, itself included.
    pub fn within(&self, network: IpNet) -> impl Iterator<Item = IpNet> + '_ {
        let inside = self.held.range(network..).map(|(inner, _)| *inner);
        let inside = inside.take_while(move |inner| inner.addr() <= network.broadcast());
        inside.filter(move |inner| network.contains(inner))
    }

    /// Records that a network reached the trigger and is only reported, and whether it is proven. Returns `false` if
    /// that is already recorded.
    pub fn report(&mut self, network: IpNet, is_proven: bool) -> bool {
        if self.reported.len() >= REPORTED && !self.reported.contains(&(network, is_proven)) {
            self.reported.clear();
        }
        self.reported.insert((network, is_proven))
    }

    /// Whether the network has an entry.
    #[must_use]
    pub fn holds(&self, network: IpNet) -> bool {
        self.held.contains_key(&network)
    }

    /// Returns the number of networks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Returns all entries, ordered by address.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        self.held.iter().map(|(network, hold)| Record { network: *network, hold: *hold })
    }
}

#[cfg(test)]
mod tests;
