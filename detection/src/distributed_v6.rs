//! Distributed scans of an IPv6 network, beside unrelated sources that scan it, too.

use std::collections::HashMap;

use fastrand::Rng;
use portsentry_common::{
    address::Ipv6,
    scan::{
        Shape,
        group::{BLOCK, GROUPS, Group, Groups, Noted, SOURCES, Target, View},
        mix,
    },
};

use crate::{distributed::Class, scanners::DAY};

/// A /48.
const NETWORK: u128 = 0x2001_0db8_0005_0000_u128 << 64;
const PORT: u16 = 22;
/// Addresses that were in use once. Many clients ask for the first ones, few for the last ones.
const STALE: u64 = 400;
/// Number of the first source of a scan.
const SCAN: u64 = 1 << 40;

/// A failed first contact.
#[derive(Clone, Copy, Debug)]
struct Contact {
    at: u32,
    source: u64,
    address: u128,
    port: u16,
}

/// Returns the address with this number, as a view counts.
fn counted(view: View, number: u32) -> u128 {
    let number = u128::from(number) << view.shift();
    // The hosts of a subnet, or the first host of each.
    NETWORK + number + u128::from(view == View::Subnets)
}

/// Returns `contacts` contacts of sources without any connection with each other, in the day from `start` on.
fn unrelated(rng: &mut Rng, port: u16, contacts: u32, start: u32) -> Vec<Contact> {
    let mut all = Vec::new();
    while all.len() < contacts as usize {
        let (source, at) = (rng.u64(..1 << 32), start + rng.u32(..DAY));
        let view = if rng.bool() { View::Hosts } else { View::Subnets };
        let addresses: [u128; 3] = match rng.u32(..10) {
            // All addresses, from the first one on, of which the first ones count.
            0..3 => [1, 2, 3].map(|number| counted(view, number)),
            // The first ones, in random order.
            3..6 => std::array::from_fn(|_| counted(view, rng.u32(..1024))),
            6 => std::array::from_fn(|_| counted(view, rng.u32(..1 << 16))),
            // Any address of the network.
            7 => std::array::from_fn(|_| NETWORK + (u128::from(rng.u16(..)) << 64) + u128::from(rng.u64(..))),
            // Addresses from an old list.
            _ => std::array::from_fn(|_| {
                let number = rng.u64(..STALE).min(rng.u64(..STALE));
                NETWORK + (u128::from(number % 8) << 64) + u128::from(mix(number))
            }),
        };
        let times = at..;
        all.extend(addresses.into_iter().zip(times).map(|(address, at)| Contact {
            at,
            source,
            address,
            port,
        }));
    }
    all.truncate(contacts as usize);
    all
}

/// The groups of the network.
struct Table {
    sets: Vec<[Group; GROUPS]>,
    key: u64,
}

impl Table {
    fn new(key: u64) -> Self {
        Self { sets: vec![Default::default(); 1 << 10], key }
    }

    /// Returns the views in which the contact makes a scan recognisable.
    fn note(&mut self, contact: &Contact) -> impl Iterator<Item = View> {
        let Contact { at, source, address, port } = *contact;
        let address = Ipv6 { octets: address.to_be_bytes() };
        let mut groups = Groups { sets: &mut self.sets, key: self.key };
        let found = [View::Hosts, View::Subnets].map(|view| {
            let target = Target::new(address, port, Shape::Ordinary, view);
            (groups.note(&target, source, BLOCK, at) == Noted::Found).then_some(view)
        });
        found.into_iter().flatten()
    }
}

/// Returns the part of `trials` scans of the first addresses that is found while they go on, and the average number of
/// addresses that they have covered then.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
pub fn recall(class: &Class, view: View, noise: u32, trials: u64, seed: u64) -> (f64, f64) {
    let find = |it| find(class, view, noise, &mut Rng::with_seed(seed << 32 | it));
    let found: Vec<usize> = (0..trials).filter_map(find).collect();
    let average = found.iter().sum::<usize>() as f64 / found.len().max(1) as f64;
    (found.len() as f64 / trials as f64, average)
}

/// Returns the number of contacts of a scan up to its report.
fn find(class: &Class, view: View, noise: u32, rng: &mut Rng) -> Option<usize> {
    let contacts = noise * 1024 / 100;
    let mut all: Vec<Contact> = (0..3).flat_map(|day| unrelated(rng, PORT, contacts, day * DAY)).collect();
    let begin = DAY + rng.u32(..DAY / 2);
    let targets = rng.choose_multiple(0..1024, class.part);
    for (number, host) in targets.into_iter().enumerate() {
        let at = begin + rng.u32(..class.span);
        let source = SCAN + (number / class.each) as u64;
        all.push(Contact { at, source, address: counted(view, host), port: PORT });
    }
    all.sort_by_key(|contact| contact.at);
    let mut table = Table::new(rng.u64(..));
    let mut covered = 0;
    for contact in all {
        covered += usize::from(contact.source >= SCAN);
        if table.note(&contact).any(|found| found == view) && contact.at >= begin {
            return (contact.at < begin + class.span + 3600).then_some(covered);
        }
    }
    None
}

/// Runs `days` days of unrelated sources at 20 ports. Returns the number of days of groups with enough contacts for a
/// report, and of those that were reported.
pub fn false_alarms(days: u32, seed: u64) -> [u64; 2] {
    let mut rng = Rng::with_seed(seed);
    let mut table = Table::new(rng.u64(..));
    let (mut groups, mut reported) = (0, 0);
    for day in 0..days {
        let mut all: Vec<Contact> = (0..20)
            .flat_map(|port| unrelated(&mut rng, 9000 + port, 100 * u32::from(port), day * DAY))
            .collect();
        all.sort_by_key(|contact| contact.at);
        let mut sizes = HashMap::<_, u32>::new();
        for contact in &all {
            for view in [View::Hosts, View::Subnets] {
                *sizes.entry((view, view.block(contact.address), contact.port)).or_default() += 1;
            }
            reported += table.note(contact).count() as u64;
        }
        groups += sizes.values().filter(|size| **size >= SOURCES).count() as u64;
    }
    [groups, reported]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distributed::CLASSES;

    #[test]
    fn shared_work_is_found_in_both_views_and_unrelated_sources_are_not() {
        for view in [View::Hosts, View::Subnets] {
            let (recall, covered) = recall(&CLASSES[0], view, 10, 20, 7);
            assert!(recall >= 0.99 && covered < 450.0, "{view:?}: {recall} {covered}");
        }
        let [groups, reported] = false_alarms(5, 7);
        assert!(groups > 100, "{groups}");
        assert_eq!(reported, 0);
    }
}
