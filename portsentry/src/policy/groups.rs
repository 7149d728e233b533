//! Distributed scans: groups of sources that share the addresses of a network, from the first failures of each.
//! `portsentry_common::scan::group` has the rules.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::{IpAddr, Ipv4Addr},
};

use bytemuck::Zeroable;
use ipnet::{IpNet, Ipv4Net};
use portsentry_common::{
    address::Ipv4,
    environment::Locality,
    scan::group::{BLOCK, GROUPS, Group, LEAST, Noted, Target},
};

use super::Sighting;

/// Number of sets of groups: 786 KiB.
const SETS: usize = 1024;
/// Maximum number of members that a group names: the latest.
const MEMBERS: usize = 64;
/// Length of a block's network.
const PREFIX: u8 = 23;
const _: () = assert!(BLOCK == 1 << (32 - PREFIX));

/// A distributed scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistributedScan {
    /// The network whose addresses it covers.
    pub network: Ipv4Net,
    /// The port.
    pub port: u16,
    /// Approximate number of sources.
    pub sources: u32,
    /// The latest of them.
    pub members: Vec<Ipv4Addr>,
    /// Number of covered addresses.
    pub covered: u32,
    /// Number of guarded addresses in the network.
    pub addresses: u32,
    /// Excess over what random contacts cover, in tenths of standard deviations.
    pub deviations: u64,
}

type Key = (u32, u16, u8);

/// The groups.
#[derive(Debug)]
pub struct Groups {
    sets: Vec<[Group; GROUPS]>,
    members: HashMap<Key, VecDeque<Ipv4Addr>>,
    guarded: HashMap<u32, u32>,
    key: u64,
}

impl Groups {
    /// Creates a table without groups. Nobody but this process should know `key`.
    #[must_use]
    pub fn new(key: u64) -> Self {
        Self { sets: Vec::new(), members: HashMap::new(), guarded: HashMap::new(), key }
    }

    /// Forgets the numbers of guarded addresses, because the watched networks may have changed.
    pub fn follow_scope(&mut self) {
        self.guarded.clear();
    }

    /// Notes a contact, if it is one of the first failures of a source, at `now` in seconds. `watched` returns the watched networks. Returns the
    /// distributed scan that it makes recognisable, once.
    pub fn note(
        &mut self,
        contact: &Sighting,
        now: u32,
        watched: impl FnOnce() -> BTreeMap<IpNet, u32>,
    ) -> Option<DistributedScan> {
        let shape = contact.scan.as_ref()?.shape?;
        let (IpAddr::V4(source), IpAddr::V4(destination)) = (contact.source, contact.destination) else {
            return None;
        };
        let block = destination.to_bits() / BLOCK;
        let network = Ipv4Net::new_assert(Ipv4Addr::from_bits(block * BLOCK), PREFIX);
        let addresses = *self.guarded.entry(block).or_insert_with(|| guarded(&watched(), network));
        if addresses < LEAST {
            return None;
        }
        if self.sets.is_empty() {
            self.sets = vec![[Group::zeroed(); GROUPS]; SETS];
        }
        let target = Target::new(Ipv4::from(destination), contact.port, shape);
        let mut groups = portsentry_common::scan::group::Groups { sets: &mut self.sets, key: self.key };
        let noted = groups.note(&target, source.to_bits(), addresses, now);
        let found = groups.find(&target).copied();
        let members = self.join((block, contact.port, shape as u8), source, noted);
        let group = found.filter(|_| noted == Noted::Found)?;
        Some(DistributedScan {
            network,
            port: contact.port,
            sources: group.count_sources(),
            members,
            covered: group.covered.into(),
            addresses,
            deviations: group.coverage(addresses).deviations(),
        })
    }

    /// Adds a member to a group that has a place. Returns the members of one that is to be reported.
    fn join(&mut self, key: Key, source: Ipv4Addr, noted: Noted) -> Vec<Ipv4Addr> {
        if noted == Noted::NoRoom {
            return Vec::new();
        }
        if self.members.len() >= SETS * GROUPS && !self.members.contains_key(&key) {
            self.members.clear();
        }
        let members = self.members.entry(key).or_default();
        if !members.contains(&source) {
            members.push_back(source);
        }
        if members.len() > MEMBERS {
            members.pop_front();
        }
        if noted == Noted::Found { members.iter().copied().collect() } else { Vec::new() }
    }
}

/// Returns the number of watched addresses in `block`.
fn guarded(watched: &BTreeMap<IpNet, u32>, block: Ipv4Net) -> u32 {
    let mut inside: Vec<(Ipv4Net, bool)> = watched
        .iter()
        .filter_map(|(network, locality)| match network {
            IpNet::V4(network) => Some((*network, *locality != Locality::Foreign as u32)),
            IpNet::V6(_) => None,
        })
        .filter(|(network, _)| network.contains(&block) || block.contains(network))
        .collect();
    // The longest prefix decides.
    inside.sort_by_key(|(network, _)| network.prefix_len());
    let mut is_guarded = [false; BLOCK as usize];
    for (network, is_watched) in inside {
        let first = network.network().to_bits().max(block.network().to_bits()) - block.network().to_bits();
        let last = network.broadcast().to_bits().min(block.broadcast().to_bits()) - block.network().to_bits();
        is_guarded[first as usize..=last as usize].fill(is_watched);
    }
    is_guarded.iter().map(|it| u32::from(*it)).sum()
}

#[cfg(test)]
mod tests {
    use portsentry_common::scan::Shape;

    use super::*;
    use crate::policy::{Scan, sample_scan, sample_sighting};

    fn watched() -> BTreeMap<IpNet, u32> {
        [
            ("203.0.112.0/22", Locality::Protected),
            ("203.0.113.0/32", Locality::Foreign),
            ("198.51.100.1/32", Locality::Own),
            ("2001:db8::/32", Locality::Protected),
        ]
        .map(|(network, locality)| (network.parse().unwrap(), locality as u32))
        .into()
    }

    fn contact(source: u32, destination: u32) -> Sighting {
        let [source, destination] = [source, destination].map(|bits| Ipv4Addr::from_bits(bits).into());
        let scan = Scan { shape: Some(Shape::Ordinary), ..sample_scan() };
        Sighting { source, destination, port: 445, scan: Some(scan), ..sample_sighting() }
    }

    const NETWORK: u32 = 0xcb00_7000;
    const SOURCES: u32 = 0xc000_0200;

    #[test]
    fn sources_that_share_a_network_are_reported_once_with_members() {
        let mut groups = Groups::new(7);
        let found: Vec<_> = (0..400)
            .filter_map(|number| {
                let contact = contact(SOURCES + number / 3, NETWORK + number);
                Some((number + 1, groups.note(&contact, 1000 + number, watched)?))
            })
            .collect();
        let [(contacts, scan)] = &found[..] else { panic!("{found:?}") };
        assert_eq!(*contacts, 136);
        assert_eq!((scan.network.to_string().as_str(), scan.port), ("203.0.112.0/23", 445));
        assert_eq!((scan.covered, scan.addresses), (136, 511));
        assert!((35..60).contains(&scan.sources), "{scan:?}");
        assert_eq!(scan.members.len(), 46);
        assert!(scan.deviations >= 50, "{scan:?}");
    }

    #[test]
    fn unrelated_sources_are_no_group() {
        let mut groups = Groups::new(7);
        let found = (0..4000_u64).find(|number| {
            let address = u32::try_from(portsentry_common::scan::mix(*number) % 512).unwrap();
            let source = SOURCES + u32::try_from(*number).unwrap();
            groups.note(&contact(source, NETWORK + address), 1000, watched).is_some()
        });
        assert_eq!(found, None);
    }

    #[test]
    fn few_addresses_and_ipv6_have_no_groups() {
        let mut groups = Groups::new(7);
        for number in 0..400 {
            assert_eq!(groups.note(&contact(SOURCES + number, 0xc633_6401), 1000, watched), None);
        }
        let v6 = Sighting { source: "2001:db8::1".parse().unwrap(), ..contact(0, NETWORK) };
        assert_eq!(groups.note(&v6, 1000, watched), None);
        assert!(groups.sets.is_empty(), "no memory is taken");
    }

    #[test]
    fn watched_addresses_are_counted() {
        let count = |block: &str| guarded(&watched(), block.parse().unwrap());
        assert_eq!(count("203.0.112.0/23"), 511);
        assert_eq!(count("203.0.114.0/23"), 512);
        assert_eq!(count("198.51.100.0/23"), 1);
        assert_eq!(count("192.0.2.0/23"), 0);
    }
}
