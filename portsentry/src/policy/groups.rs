//! Distributed scans: groups of sources that share the addresses of a network, from the first failures of each.
//! `portsentry_common::scan::group` has the rules.

mod guarded;
#[cfg(test)]
pub(super) mod tests;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use ipnet::IpNet;
use portsentry_common::{
    address::Ipv6,
    scan::group::{self, GROUPS, Group, LEAST, Noted, Target, View},
};

use self::guarded::Guarded;
use super::{Sighting, network_of};

/// Number of sets of groups: 3.1 MiB.
const SETS: usize = 1024;
/// Maximum number of groups.
pub const MOST_GROUPS: usize = SETS * GROUPS;
/// Covered addresses from which a group is kept over a restart. A flood makes many smaller ones.
const KEPT: u16 = 8;
/// Length of an IPv6 source's network in bits.
const SOURCE: u8 = 64;

/// A distributed scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistributedScan {
    /// The network in which it covers addresses.
    pub network: IpNet,
    /// How these addresses differ.
    pub view: View,
    /// The port.
    pub port: u16,
    /// Approximate number of sources.
    pub sources: u32,
    /// The latest of them: addresses, or IPv6 /64s.
    pub members: Vec<IpNet>,
    /// Number of covered addresses.
    pub covered: u32,
    /// Number of guarded addresses that differ in that way.
    pub addresses: u32,
    /// Excess over what random contacts cover, in tenths of standard deviations.
    pub deviations: u64,
}

/// The result of noting a contact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    /// The distributed scans that the contact makes recognisable: at most one in each view.
    pub found: Vec<DistributedScan>,
    /// The members whose scores rise, with the number of their first failures that belong to the scan: the source of the
    /// contact, or all members of a scan that is found.
    pub raised: Vec<(IpNet, u8)>,
}

/// The groups.
#[derive(Debug)]
pub struct Groups {
    sets: Vec<[Group; GROUPS]>,
    guarded: Guarded,
    key: u64,
    revision: u64,
}

impl Groups {
    /// Creates a table without groups. Nobody but this process should know `key`.
    #[must_use]
    pub fn new(key: u64) -> Self {
        Self { sets: Vec::new(), guarded: Guarded::default(), key, revision: 0 }
    }

    /// Forgets the numbers of guarded addresses, because the watched networks may have changed.
    pub fn follow_scope(&mut self) {
        self.guarded.clear();
    }

    /// Returns a number that changes with the groups.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns the groups that are worth keeping over a restart at `now`.
    pub fn kept(&self, now: u32) -> impl Iterator<Item = &Group> {
        let groups = self.sets.iter().flatten();
        groups.filter(move |group| group.votes > 0 && group.covered >= KEPT && !group.is_over(now))
    }

    /// Adds the groups of an earlier run that aren't over at `now`.
    pub fn restore(&mut self, groups: &[Group], now: u32) {
        for group in groups {
            self.table().restore(group, now);
        }
    }

    /// Notes a contact, if it is one of the first failures of a source, at `now` in seconds. `watched` returns the
    /// watched networks. `has_answered` says whether a port has answered, perhaps after the contact was noted.
    pub fn note(
        &mut self,
        contact: &Sighting,
        now: u32,
        watched: impl Fn() -> BTreeMap<IpNet, u32>,
        has_answered: impl Fn(SocketAddr) -> bool,
    ) -> Joined {
        let mut joined = Joined::default();
        let Some(shape) = contact.scan.as_ref().and_then(|scan| scan.shape) else { return joined };
        let (views, source) = match (contact.source, contact.destination.to_canonical()) {
            (IpAddr::V4(source), IpAddr::V4(_)) => (View::V4, source.to_bits().into()),
            (IpAddr::V6(source), IpAddr::V6(_)) => (View::V6, high(source.to_bits())),
            _ => return joined,
        };
        for view in views {
            let target = Target::new(Ipv6::from(contact.destination), contact.port, shape, *view);
            let addresses = self.guarded.count(*view, target.block(), &watched);
            if addresses < LEAST {
                continue;
            }
            self.revision += 1;
            let mut table = self.table();
            let noted = table.note(&target, source, addresses, now);
            // After a start, services that haven't been asked before look like silent ports at first.
            let answers = |address| has_answered(SocketAddr::new(canonical(address), contact.port));
            if noted == Noted::Found && !table.confirm(&target, addresses, answers) {
                continue;
            }
            let Some(group) = table.find(&target) else { continue };
            match noted {
                Noted::Found => {
                    let members = group.members.iter();
                    joined.raised.extend(members.map(|(source, pairs)| (named(source, group), pairs)));
                    joined.found.push(scan(group, *view, addresses));
                }
                // The other contacts of its /64 may be those of other sources.
                Noted::Member if is_part(contact) => joined.raised.push((contact.network(), 1)),
                Noted::Member => joined.raised.push((contact.network(), group.members.pairs(source))),
                Noted::Nothing | Noted::NoRoom => {}
            }
        }
        joined
    }

    fn table(&mut self) -> group::Groups<'_> {
        if self.sets.is_empty() {
            self.sets = vec![[Group::default(); GROUPS]; SETS];
        }
        group::Groups { sets: &mut self.sets, key: self.key }
    }
}

fn scan(group: &Group, view: View, addresses: u32) -> DistributedScan {
    let block = Ipv6Addr::from_bits(group.block);
    let network = match block.to_ipv4_mapped() {
        Some(block) => network_of(block.into(), view.prefix() - 96),
        None => network_of(block.into(), view.prefix()),
    };
    DistributedScan {
        network,
        view,
        port: group.port,
        sources: group.count_sources(),
        members: group.members.iter().map(|(source, _)| named(source, group)).collect(),
        covered: group.covered.into(),
        addresses,
        deviations: group.coverage(addresses).deviations(),
    }
}

fn canonical(address: u128) -> IpAddr {
    Ipv6Addr::from_bits(address).to_canonical()
}

/// Returns the network of a source with this number, of the same family as the group's addresses.
fn named(source: u64, group: &Group) -> IpNet {
    if group.is_v4() {
        let bits = u32::try_from(source).unwrap_or_default();
        return network_of(Ipv4Addr::from_bits(bits).into(), 0);
    }
    network_of(Ipv6Addr::from_bits(u128::from(source) << 64).into(), SOURCE)
}

/// Whether the source of a contact is counted by less than the network by which groups name it.
const fn is_part(contact: &Sighting) -> bool {
    contact.source.is_ipv6() && (contact.prefix == 0 || contact.prefix > SOURCE)
}

/// Returns the first half of an IPv6 address.
const fn high(address: u128) -> u64 {
    (address >> 64) as u64
}
