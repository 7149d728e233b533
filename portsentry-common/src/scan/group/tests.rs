//! Tables and properties of groups.

use std::{vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::address::{Ipv4, Ipv6};

const NETWORK: u32 = u32::from_be_bytes([198, 51, 100, 0]);

/// A table with a clock of its own.
struct Table {
    sets: Vec<[Group; GROUPS]>,
    now: u32,
    addresses: u32,
}

impl Table {
    fn new(addresses: u32) -> Self {
        Self { sets: vec![[Group::zeroed(); GROUPS]; 16], now: 1000, addresses }
    }

    fn groups(&mut self) -> Groups<'_> {
        Groups { sets: &mut self.sets, key: 7 }
    }

    fn note_at(&mut self, port: u16, place: u32, source: u32) -> Noted {
        let (target, addresses, now) = (target(port, place), self.addresses, self.now);
        self.groups().note(&target, source.into(), addresses, now)
    }

    fn note(&mut self, place: u32, source: u32) -> Noted {
        self.note_at(23, place, source)
    }

    /// Returns the number of contacts up to the report.
    fn found_after(&mut self, contacts: impl IntoIterator<Item = (u32, u32)>) -> Option<usize> {
        contacts
            .into_iter()
            .position(|(place, source)| self.note(place, source) == Noted::Found)
            .map(|it| it + 1)
    }

    fn group(&self) -> &Group {
        self.sets.iter().flatten().max_by_key(|it| it.votes).expect("a group")
    }
}

fn target(port: u16, place: u32) -> Target {
    let octets = (NETWORK / BLOCK * BLOCK + place).to_be_bytes();
    Target::new(Ipv4 { octets }, port, Shape::Ordinary, View::Hosts)
}

/// Returns a number below `limit`, of a random one.
fn below(limit: u32, random: u64) -> u32 {
    u32::try_from(random % u64::from(limit)).expect("a number below a u32")
}

/// Returns the places of a block in random order.
fn shuffled(addresses: u32, seed: u64) -> Vec<u32> {
    let mut places: Vec<u32> = (0..addresses).collect();
    places.sort_by_key(|place| mix(seed ^ mix(u64::from(*place))));
    places
}

#[test]
fn shared_work_is_found_by_its_coverage() {
    // More of a small block has to be covered: chance covers it more evenly.
    for (addresses, contacts, each) in [(512, 136, 3), (256, 91, 3), (128, 61, 2), (64, 40, 1)] {
        let order = shuffled(addresses, 3);
        let found = Table::new(addresses).found_after((0..).zip(order).map(|(it, place)| (place, it / each)));
        let found = found.unwrap_or_else(|| panic!("{addresses}"));
        assert!(found.abs_diff(contacts) < 3, "{addresses}: {found}");
    }
    let order = shuffled(LEAST / 2, 3);
    assert_eq!(Table::new(LEAST / 2).found_after((0..).zip(order).map(|(it, place)| (place, it))), None);
}

#[test]
fn one_source_is_no_group() {
    assert_eq!(Table::new(512).found_after((0..512).map(|place| (place, 1))), None);
}

#[test]
fn many_sources_at_one_address_are_no_scan_and_hide_none() {
    let mut table = Table::new(512);
    assert_eq!(table.found_after((0..100_000).map(|source| (9, source))), None);
    let group = table.group();
    assert_eq!((group.covered, group.doubled), (1, 1));
    let scan = shuffled(512, 5).into_iter().zip(200_000..);
    assert!(table.found_after(scan).is_some_and(|contacts| contacts < 160));
}

#[test]
fn a_group_is_reported_once_with_its_latest_members_and_ends() {
    let mut table = Table::new(512);
    let scan: Vec<_> = shuffled(512, 1).into_iter().zip((0..).map(|it| it / 2)).collect();
    let found = table.found_after(scan.iter().copied()).expect("a report");
    let (_, last) = scan[found - 1];
    let group = *table.group();
    let members: Vec<_> = group.members.iter().collect();
    assert_eq!(members.last(), Some(&(last.into(), 1 + u8::from(found.is_multiple_of(2)))), "{members:?}");
    assert_eq!(group.members.pairs(u64::from(last - 1)), 2);
    assert!(group.coverage(512).deviations() >= 50, "{:?}", group.coverage(512).deviations());
    assert!(group.count_sources().abs_diff(last + 1) < 20, "{} of {last}", group.count_sources());
    assert!(scan[found..].iter().all(|(place, source)| table.note(*place, *source) == Noted::Member));
    table.now += TERM;
    assert_eq!(table.note(1, 1), Noted::Nothing, "the scan is over");
    assert_eq!(table.group().covered, 1, "and the group begins anew");
}

#[test]
fn contacts_count_for_a_week() {
    let mut table = Table::new(512);
    table.note(1, 1);
    table.now += WINDOW - 1;
    table.note(2, 2);
    assert_eq!(table.group().covered, 2);
    table.now += 1;
    table.note(3, 3);
    assert_eq!(table.group().covered, 1);
}

#[test]
fn other_ports_displace_no_busy_group() {
    let mut table = Table::new(512);
    let scan: Vec<_> = shuffled(512, 2).into_iter().zip(0..).collect();
    for (place, source) in &scan[..100] {
        table.note(*place, *source);
    }
    // Each place but one is taken over and over.
    assert!((1000..4000).all(|port| table.note_at(port, 1, 5) == Noted::Nothing));
    assert!(table.found_after(scan[100..].iter().copied()).is_some());
    // Four groups with many votes leave no place in their set.
    let mut table = Table { sets: vec![[Group::zeroed(); GROUPS]; 1], ..table };
    for port in 1..=4 {
        for source in 0..50 {
            table.note_at(port, source, source);
        }
    }
    assert_eq!(table.note_at(5, 1, 1), Noted::NoRoom);
    // Once they are over, they leave all of it, at once.
    table.now += WINDOW;
    assert_eq!(table.note_at(5, 1, 1), Noted::Nothing);
    assert_eq!(table.groups().find(&target(5, 1)).map(|group| (group.covered, group.votes)), Some((1, 1)));
}

/// The excess of random contacts over chance has an average of 0 and a deviation of 1.
#[test]
fn random_contacts_cover_what_chance_does() {
    for (addresses, contacts) in [(512, 100), (512, 300), (512, 700), (256, 150), (128, 100), (64, 60)] {
        let scores: Vec<usize> = (0..400_u64)
            .map(|seed| {
                let mut counts = vec![0_u32; addresses as usize];
                for it in 0..contacts {
                    counts[below(addresses, mix(seed << 32 | it)) as usize] += 1;
                }
                let at_least = |least| counts.iter().map(|it| u32::from(*it >= least)).sum();
                let coverage = Coverage { addresses, covered: at_least(1), doubled: at_least(2) };
                // Each deviation that is exceeded.
                (1..40).filter(|it| coverage.exceeds_chance(*it)).count()
            })
            .collect();
        let above = |least| scores.iter().filter(|it| **it >= least).count();
        // 16 %, 2.3 % and 0.1 % of a normal distribution, and what chance adds.
        assert!((30..110).contains(&above(1)), "{addresses}, {contacts}: {}", above(1));
        assert!(above(2) < 25 && above(4) == 0, "{addresses}, {contacts}: {} {}", above(2), above(4));
    }
}

/// Contacts of unrelated sources, up to 10,000 in a week. Chance alone exceeds any limit at times.
#[test]
fn unrelated_sources_are_no_group() {
    const GROUPS: u64 = 2000;
    let is_found = |seed: &u64| {
        let addresses = LEAST + below(BLOCK - LEAST + 1, mix(*seed));
        let sources = 100 + below(4900, mix(!seed));
        let contacts = (0..sources).flat_map(|source| {
            let random = mix(seed << 32 | u64::from(source));
            (0..=random % 3).map(move |it| (below(addresses, mix(random ^ it)), source))
        });
        Table::new(addresses).found_after(contacts).is_some()
    };
    let found = (0..GROUPS).filter(is_found).count();
    assert!(found <= 1, "{found} of {GROUPS} groups");
}

proptest! {
    #[test]
    fn whatever_comes_the_counts_are_those_of_the_bits(
        contacts in prop::collection::vec((0..BLOCK, any::<u32>(), 0_u32..2000), 0..600),
        addresses in 0_u32..2000,
    ) {
        let mut table = Table::new(addresses);
        for (place, source, wait) in contacts {
            table.now += wait;
            table.note(place, source);
            let group = table.group();
            let count = |set: &[u64; 8]| set.iter().map(|it| it.count_ones()).sum::<u32>();
            prop_assert_eq!(count(&group.once), u32::from(group.covered));
            prop_assert_eq!(count(&group.twice), u32::from(group.doubled));
            prop_assert!(group.once.iter().zip(&group.twice).all(|(once, twice)| once & twice == *twice));
            prop_assert!(group.votes > 0);
            prop_assert!(group.is_sound(), "{:?}", group);
        }
    }

    #[test]
    fn an_address_is_its_block_and_its_place(address: u128) {
        for view in View::V6 {
            let (block, place) = (view.block(address), view.place(address));
            prop_assert!(place < BLOCK && view.is_block(block));
            prop_assert_eq!(block | u128::from(place) << view.shift(), address);
            prop_assert_eq!(View::of(*view as u8), Some(*view));
        }
    }

    #[test]
    fn random_octets_are_no_group(octets in prop::collection::vec(any::<u8>(), size_of::<Group>())) {
        prop_assert!(!bytemuck::pod_read_unaligned::<Group>(&octets).is_sound());
    }
}

/// Returns the number of contacts with these IPv6 addresses up to a report, one a source.
fn found_in_v6(addresses: impl IntoIterator<Item = u128>) -> Option<usize> {
    let mut table = Table::new(BLOCK);
    (0..)
        .zip(addresses)
        .position(|(source, address)| {
            let address = Ipv6 { octets: address.to_be_bytes() };
            let noted = View::V6.iter().map(|view| {
                let target = Target::new(address, 22, Shape::Ordinary, *view);
                table.groups().note(&target, source, BLOCK, 1000)
            });
            noted.collect::<Vec<_>>().contains(&Noted::Found)
        })
        .map(|it| it + 1)
}

/// Scanners of IPv6 count through hosts, or through subnets. Both are found as in IPv4; addresses that have nothing in
/// common are not, even if no two sources ever meet.
#[test]
fn shared_work_is_found_in_the_last_bits_and_in_the_subnets() {
    const NETWORK: u128 = 0x2001_0db8_0005_0000_u128 << 64;
    let hosts = shuffled(512, 3).into_iter().map(|host| NETWORK + u128::from(host));
    let subnets = shuffled(512, 3).into_iter().map(|subnet| NETWORK + (u128::from(subnet) << 64) + 1);
    for found in [found_in_v6(hosts), found_in_v6(subnets)] {
        assert!(found.is_some_and(|found| found.abs_diff(136) < 3), "{found:?}");
    }
    let random = |number: u64| u128::from(mix(number));
    let hosts = (0..20_000).map(|number| NETWORK + random(number));
    assert_eq!(found_in_v6(hosts), None, "random hosts of a /64");
    let anywhere = (0..20_000).map(|number| NETWORK + (random(number) << 64 >> 48) + random(!number));
    assert_eq!(found_in_v6(anywhere), None, "random hosts of a /48");
    // Unrelated scanners count from the same beginning.
    let beginnings = (0..2000_u64).map(|source| NETWORK + 1 + u128::from(mix(source) % 3));
    assert_eq!(found_in_v6(beginnings), None, "each begins at ::1");
    let unrelated = (0..4000_u64).map(|source| NETWORK + u128::from(mix(source) % 512));
    assert_eq!(found_in_v6(unrelated), None, "each chooses at random");
}

#[test]
fn a_member_counts_its_contacts_and_the_latest_stay() {
    let mut members = Members::zeroed();
    for source in 0..100 {
        (0..=source % 5).for_each(|_| members.add(source));
    }
    let all: Vec<_> = members.iter().collect();
    assert_eq!(all.len(), MEMBERS);
    assert_eq!((all[0], all[63]), ((36, 2), (99, 3)));
    assert_eq!((members.pairs(98), members.pairs(35)), (3, 0));
    members.add(0);
    assert_eq!((members.pairs(0), members.pairs(36)), (1, 0), "0 is a source like any other");
}

#[test]
fn a_group_of_an_earlier_run_goes_on() {
    let scan: Vec<_> = shuffled(512, 4).into_iter().zip(0..).collect();
    let mut table = Table::new(512);
    for (place, source) in &scan[..100] {
        table.note(*place, *source);
    }
    let kept = *table.group();
    let mut other = Table { sets: vec![[Group::zeroed(); GROUPS]; 4], ..Table::new(512) };
    other.groups().restore(&kept, 1000);
    assert_eq!(other.groups().find(&target(23, 0)), Some(&kept));
    assert!(other.found_after(scan[100..].iter().copied()).is_some_and(|contacts| contacts < 60));
    // The busiest stay.
    let mut full = Table { sets: vec![[Group { votes: 1024, ..kept }; GROUPS]; 1], ..Table::new(512) };
    full.groups().restore(&Group { port: 99, votes: 1023, ..kept }, 1000);
    assert!(full.sets[0].iter().all(|group| group.port == 23));
    // Those that are over don't.
    full.groups().restore(&Group { port: 99, votes: 1, first: 1001, last: 1001, ..kept }, 1000 + WINDOW);
    full.groups().restore(&Group { port: 98, votes: 1024, ..kept }, 1000 + WINDOW);
    assert_eq!(full.sets[0].iter().filter(|group| group.port == 99).count(), 1);
    assert_eq!(full.sets[0].iter().filter(|group| group.port == 98).count(), 0);
}

#[test]
fn a_group_that_no_version_makes_is_not_sound() {
    let mut table = Table::new(512);
    for number in 0..90 {
        table.note(number % 60, number);
    }
    let group = *table.group();
    assert!(group.is_sound());
    let wrong: [fn(&mut Group); 12] = [
        |it| it.block += 1,
        |it| it.once[3] ^= 1,
        |it| it.twice[7] |= 1 << 63,
        |it| it.covered += 1,
        |it| it.doubled -= 1,
        |it| it.votes = 0,
        |it| it.votes = 1025,
        |it| it.shape = 3,
        |it| it.view = 2,
        |it| it.is_found = 2,
        |it| it.first = it.last + 1,
        |it| it.members.add(1 << 32),
    ];
    for (number, change) in wrong.into_iter().enumerate() {
        let mut changed = group;
        change(&mut changed);
        assert!(!changed.is_sound(), "{number}");
    }
}
