use portsentry_common::{
    environment::Locality,
    scan::{Shape, mix},
};

use super::*;
use crate::policy::{Scan, sample_scan, sample_sighting};

/// Returns groups of which one is worth keeping at 1000.
pub(crate) fn sample_groups() -> Groups {
    let mut groups = Groups::new(7);
    for number in 0..100 {
        groups.note(&v4(number / 3, number), 1000, watched, silent);
    }
    groups
}

pub(super) fn watched() -> BTreeMap<IpNet, u32> {
    [
        ("203.0.112.0/22", Locality::Protected),
        ("203.0.113.0/32", Locality::Foreign),
        ("198.51.100.1/32", Locality::Own),
        ("2001:db8:5::/48", Locality::Protected),
        ("2001:db8:5:7::1/128", Locality::Foreign),
        ("2001:db8:6::/121", Locality::Protected),
        ("2001:db8:7::/60", Locality::Protected),
    ]
    .map(|(network, locality)| (network.parse().unwrap(), locality as u32))
    .into()
}

/// No port has answered.
pub(super) const fn silent(_: SocketAddr) -> bool {
    false
}

fn contact(source: impl Into<IpAddr>, destination: impl Into<IpAddr>) -> Sighting {
    let scan = Scan { shape: Some(Shape::Ordinary), ..sample_scan() };
    let (source, destination) = (source.into(), destination.into());
    let prefix = if source.is_ipv6() { 64 } else { 0 };
    Sighting { source, destination, port: 445, prefix, scan: Some(scan), ..sample_sighting() }
}

fn v4(source: u32, destination: u32) -> Sighting {
    contact(Ipv4Addr::from_bits(SOURCES + source), Ipv4Addr::from_bits(NETWORK + destination))
}

/// A contact from a host of the /64 with this number.
fn v6(source: u64, destination: u128) -> Sighting {
    let source = 0x2001_0db8_00ff_0000_u128 + u128::from(source);
    contact(Ipv6Addr::from_bits(source << 64 | u128::from(mix(7))), Ipv6Addr::from_bits(destination))
}

const NETWORK: u32 = 0xcb00_7000;
const SOURCES: u32 = 0xc000_0200;
const V6: u128 = 0x2001_0db8_0005_0000_u128 << 64;

/// Returns the scans that contacts make recognisable, with the number of contacts up to then.
fn found(groups: &mut Groups, contacts: impl Iterator<Item = Sighting>) -> Vec<(usize, DistributedScan)> {
    let noted = contacts.map(|contact| groups.note(&contact, 1000, watched, silent).found);
    (1..).zip(noted).flat_map(|(number, found)| found.into_iter().map(move |scan| (number, scan))).collect()
}

#[test]
fn sources_that_share_a_network_are_reported_once_with_members() {
    let found = found(&mut Groups::new(7), (0..400).map(|number| v4(number / 3, number)));
    let [(contacts, scan)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(*contacts, 136);
    assert_eq!((scan.network.to_string().as_str(), scan.port), ("203.0.112.0/23", 445));
    assert_eq!((scan.covered, scan.addresses), (136, 511));
    assert!((35..60).contains(&scan.sources), "{scan:?}");
    assert_eq!((scan.members.len(), scan.members[45].to_string().as_str()), (46, "192.0.2.45/32"));
    assert!(scan.deviations >= 50, "{scan:?}");
}

#[test]
fn ipv6_sources_are_counted_by_their_64_in_both_views() {
    for (view, network, contacts) in
        [(View::Hosts, "2001:db8:5::/119", [1_u128, 0]), (View::Subnets, "2001:db8:5::/55", [1 << 64, 0x53])]
    {
        let [step, first] = contacts;
        let scan = (0..400).map(|number| v6(number / 3, V6 + first + step * u128::from(number)));
        let found = found(&mut Groups::new(7), scan);
        let [(contacts, scan)] = &found[..] else { panic!("{found:?}") };
        assert_eq!((*contacts, scan.view), (136, view));
        assert_eq!(scan.network.to_string(), network);
        assert_eq!((scan.covered, scan.addresses), (136, 512));
        let members: Vec<_> = scan.members.iter().map(ToString::to_string).collect();
        assert_eq!((members.len(), members[45].as_str()), (46, "2001:db8:ff:2d::/64"));
    }
    let one_network = (0..400).map(|number| v6(1, V6 + number));
    assert_eq!(found(&mut Groups::new(7), one_network), [], "a /64 is one source");
}

#[test]
fn the_scores_of_members_rise_when_the_scan_is_found_and_afterwards() {
    let mut groups = Groups::new(7);
    let raised: Vec<_> =
        (0..137).map(|number| groups.note(&v4(number / 3, number), 1000, watched, silent).raised).collect();
    assert!(raised[..135].iter().all(Vec::is_empty));
    assert_eq!(raised[135].len(), 46, "all members");
    assert_eq!(raised[135][0], ("192.0.2.0/32".parse().unwrap(), 3));
    assert_eq!(raised[135][45], ("192.0.2.45/32".parse().unwrap(), 1));
    assert_eq!(
        raised[136],
        [("192.0.2.45/32".parse().unwrap(), 2)],
        "the next contact is its source's second"
    );
    assert_eq!(groups.note(&v4(99, 5), 1000 + group::TERM, watched, silent).raised, [], "the scan is over");
}

/// Of a /64, the first failures of the address that contacts count, and no others.
#[test]
fn a_source_that_is_counted_by_its_address_is_raised_by_its_own_contact() {
    for (prefix, pairs) in [(64, 3), (56, 3), (0, 1), (128, 1)] {
        let mut groups = Groups::new(7);
        let contact = |number: u64| Sighting { prefix, ..v6(number / 5, V6 + u128::from(number)) };
        let raised = (0..145).flat_map(|number| groups.note(&contact(number), 1000, watched, silent).raised);
        assert_eq!(raised.last(), Some((contact(144).network(), pairs)), "{prefix}");
    }
}

#[test]
fn a_contact_that_completes_a_scan_of_hosts_and_one_of_subnets_reports_both() {
    let mut groups = Groups::new(7);
    let hosts = (1..136_u64).map(|number| v6(number / 3, V6 + u128::from(number)));
    let subnets = (1..136_u64).map(|number| v6(number / 3, V6 + (u128::from(number) << 64)));
    assert_eq!(found(&mut groups, hosts.chain(subnets)), []);
    let both = found(&mut groups, [v6(99, V6)].into_iter());
    let views: Vec<_> = both.iter().map(|(_, scan)| scan.view).collect();
    assert_eq!(views, [View::Hosts, View::Subnets]);
}

#[test]
fn unrelated_sources_are_no_group() {
    let random = |number: u64, limit| u32::try_from(mix(number) % limit).unwrap();
    let v4 = (0..4000_u64).map(|number| v4(u32::try_from(number).unwrap(), random(number, 512)));
    assert_eq!(found(&mut Groups::new(7), v4), []);
    let v6 = (0..4000_u64).map(|number| v6(number, V6 + u128::from(random(number, 512))));
    assert_eq!(found(&mut Groups::new(7), v6), []);
}

#[test]
fn addresses_of_two_families_are_no_contact() {
    const V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
    let mut groups = Groups::new(7);
    for destination in [IpAddr::V4(V4), V4.to_ipv6_mapped().into()] {
        groups.note(&contact(Ipv6Addr::from_bits(V6), destination), 1000, watched, silent);
    }
    assert!(groups.sets.is_empty());
}

#[test]
fn few_addresses_have_no_groups() {
    let mut groups = Groups::new(7);
    let own = (0..400).map(|number| contact(Ipv4Addr::from_bits(number), [198, 51, 100, 1]));
    assert_eq!(found(&mut groups, own), []);
    let noted = Sighting { scan: Some(sample_scan()), ..v4(1, 1) };
    assert_eq!(
        groups.note(&noted, 1000, watched, silent),
        Joined::default(),
        "it isn't one of the first failures"
    );
    assert!(groups.sets.is_empty(), "no memory is taken");
}

#[test]
fn groups_are_kept_over_a_restart() {
    assert_eq!(Groups::new(7).kept(1000).count(), 0);
    let mut groups = sample_groups();
    // A flood of ports, of which none has enough addresses.
    assert_eq!(found(&mut groups, (0..9000).map(|port| Sighting { port: 1000 + port, ..v4(1, 1) })), []);
    let kept: Vec<Group> = groups.kept(1000).copied().collect();
    assert!(kept.len() == 1 && kept[0].is_sound(), "{}", kept.len());
    assert_eq!(groups.kept(1000 + group::WINDOW).count(), 0);
    let mut groups = Groups::new(8);
    groups.restore(&kept, 1000);
    let found = found(&mut groups, (100..200).map(|number| v4(number / 3, number)));
    let [(contacts, scan)] = &found[..] else { panic!("{found:?}") };
    assert_eq!((*contacts, scan.covered, scan.members.len()), (36, 136, 46));
}

/// Whatever a flood does, the groups take no more memory, and a scan that goes on is found.
#[test]
fn a_flood_displaces_no_busy_group_and_takes_no_more_memory() {
    let mut groups = sample_groups();
    let flood = (0..40_000_u64).map(|number| {
        let random = mix(number);
        let port = u16::try_from(random % 60_000).unwrap();
        let subnet = u128::from(random >> 32 & 0xffff) << 64;
        Sighting { port, ..v6(random, V6 + subnet + u128::from(mix(random))) }
    });
    assert_eq!(found(&mut groups, flood), []);
    assert_eq!(groups.sets.len(), SETS);
    let found = found(&mut groups, (100..200).map(|number| v4(number / 3, number)));
    assert!(matches!(&found[..], [(36, _)]), "{found:?}");
}

/// After a start, the first clients of services seem to fail until the answers come.
#[test]
fn addresses_that_have_answered_since_make_no_scan() {
    let has_answered = |at: SocketAddr| !at.ip().to_string().ends_with('7') && at.port() == 445;
    let mut groups = Groups::new(7);
    let v6 = |number: u32| v6(u64::from(number / 3), V6 + u128::from(number));
    for contact in [&|number| v4(number / 3, number) as Sighting, &v6 as &dyn Fn(u32) -> Sighting] {
        let noted = (0..500).map(|number| groups.note(&contact(number), 1000, watched, has_answered));
        assert!(noted.into_iter().all(|joined| joined == Joined::default()));
    }
}

/// Services among the addresses hide no scan of the others.
#[test]
fn a_scan_is_found_beside_addresses_that_answer() {
    let is_even = |at: SocketAddr| matches!(at.ip(), IpAddr::V4(address) if address.to_bits() % 2 == 0);
    let mut groups = Groups::new(7);
    let found: Vec<_> = (0..512)
        .flat_map(|number| groups.note(&v4(number / 3, number), 1000, watched, is_even).found)
        .collect();
    let [scan] = &found[..] else { panic!("{found:?}") };
    assert!((130..145).contains(&scan.covered), "{scan:?}");
}
