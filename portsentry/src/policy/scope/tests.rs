use proptest::prelude::*;

use super::*;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn network(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn host() -> Host {
    Host {
        addresses: [address("192.0.2.1"), address("2001:db8::1")].into(),
        broadcasts: [address("192.0.2.255")].into(),
        gateways: [address("192.0.2.254"), address("192.0.2.1")].into(),
        resolvers: [address("192.0.2.53")].into(),
        ..Host::default()
    }
}

#[test]
fn own_and_broadcast_addresses_gateways_resolvers_and_ignored_networks_are_exempt() {
    let exemptions = Exemptions::new(&host(), &[network("198.51.100.7/24")]);
    let expected = [
        ("192.0.2.1/32", Exempt::Own),
        ("192.0.2.53/32", Exempt::Resolver),
        ("192.0.2.254/32", Exempt::Gateway),
        ("192.0.2.255/32", Exempt::Own),
        ("198.51.100.0/24", Exempt::Ignored),
        ("2001:db8::1/128", Exempt::Own),
    ];
    let expected: BTreeMap<_, _> = expected.map(|(text, reason)| (network(text), reason as u32)).into();
    assert_eq!(exemptions.entries(), expected);
    let ignored = exemptions.why(address("198.51.100.99"));
    assert_eq!(ignored, Some((network("198.51.100.0/24"), Exempt::Ignored)));
    assert!(!exemptions.contains(address("192.0.2.2")));
    assert!(!exemptions.contains(address("2001:db8::2")));
    for (held, expected) in [
        ("192.0.2.1/32", true),
        ("192.0.2.2/32", false),
        ("2001:db8::1/128", true),
        ("2001:db8::/64", false),
        ("198.51.100.0/25", true),
        ("198.51.100.0/23", false),
    ] {
        assert_eq!(exemptions.cover(network(held)), expected, "{held}");
    }
}

#[test]
fn neighbours_are_held_alone_unless_they_are_ignored() {
    let host = Host { neighbours: [network("2001:db8:1::/64")].into(), ..host() };
    let exemptions = Exemptions::new(&host, &[]);
    assert_eq!(exemptions.entries().get(&network("2001:db8:1::/64")), Some(&NEIGHBOUR));
    assert!(!exemptions.contains(address("2001:db8:1::9")));
    let ignored = Exemptions::new(&host, &[network("2001:db8::/32")]);
    assert_eq!(ignored.entries().get(&network("2001:db8:1::/64")), None);
    for (source, prefix, expected) in [
        ("2001:db8:1::9", 64, 0),
        ("2001:db8:2::9", 64, 64),
        ("2001:db8:2::9", 56, 56),
        ("2001:db8:2::9", 128, 0),
        ("fe80::9", 64, 0),
        ("64:ff9b::192.0.2.9", 64, 0),
        ("192.0.2.9", 64, 0),
    ] {
        assert_eq!(exemptions.prefix_of(address(source), prefix), expected, "{source} {prefix}");
    }
}

#[test]
fn gateways_and_resolvers_come_first_where_there_is_no_room() {
    let exemptions = Exemptions::new(&host(), &[network("198.51.100.0/24")]);
    let essential: Vec<_> = exemptions.essential().into_iter().map(|(network, _)| network).collect();
    let expected = ["192.0.2.254", "192.0.2.53", "192.0.2.1", "192.0.2.255", "2001:db8::1"];
    assert_eq!(essential, expected.map(|text| IpNet::from(address(text))));
}

#[test]
fn the_narrowest_network_says_why() {
    let host = Host { local_routes: [network("198.51.100.0/24")].into(), ..host() };
    let exemptions = Exemptions::new(&host, &[network("198.51.0.0/16"), network("::/0")]);
    for (text, expected) in [
        ("198.51.100.7", Some(Exempt::Own)),
        ("198.51.101.7", Some(Exempt::Ignored)),
        ("198.52.0.1", None),
        ("2001:db8::1", Some(Exempt::Own)),
        ("2001:db8::2", Some(Exempt::Ignored)),
    ] {
        assert_eq!(exemptions.why(address(text)).map(|(_, reason)| reason), expected, "{text}");
    }
}

#[test]
fn addresses_of_local_routes_are_own_ones_but_for_broadcast() {
    let host = Host {
        local_routes: [network("192.0.2.0/24"), network("2001:db8:1::/64")].into(),
        broadcasts: [address("192.0.2.255"), address("203.0.113.255")].into(),
        ..host()
    };
    let rules = Rules { protected: vec![], checks_destination: true, checks_services: true };
    let expected = [
        ("192.0.2.0/24", Locality::Own),
        ("192.0.2.255/32", Locality::Foreign),
        ("192.0.2.1/32", Locality::Own),
        ("2001:db8::1/128", Locality::Own),
        ("2001:db8:1::/64", Locality::Own),
    ];
    assert_eq!(local(&host, &rules), expected.map(|(text, kind)| (network(text), kind as u32)).into());
}

fn rules() -> Rules {
    let protected = vec![network("192.0.2.0/24"), network("198.51.100.2/31")];
    Rules { protected, checks_destination: true, checks_services: true }
}

#[test]
fn protected_networks_lose_their_ends_and_keep_own_addresses_apart() {
    let networks = local(&host(), &rules());
    let expected = [
        ("192.0.2.0/24", Locality::Protected),
        ("192.0.2.0/32", Locality::Foreign),
        ("192.0.2.255/32", Locality::Foreign),
        ("192.0.2.1/32", Locality::Own),
        ("198.51.100.2/31", Locality::Protected),
        ("2001:db8::1/128", Locality::Own),
    ];
    assert_eq!(networks, expected.map(|(text, kind)| (network(text), kind as u32)).into());
}

#[test]
fn without_the_local_check_every_single_host_counts() {
    let networks = local(&host(), &Rules { checks_destination: false, ..rules() });
    for (text, kind) in [
        ("0.0.0.0/0", Locality::Protected),
        ("::/0", Locality::Protected),
        ("224.0.0.0/4", Locality::Foreign),
        ("255.255.255.255/32", Locality::Foreign),
        ("ff00::/8", Locality::Foreign),
        ("192.0.2.1/32", Locality::Own),
    ] {
        assert_eq!(networks.get(&network(text)), Some(&(kind as u32)), "{text}");
    }
}

#[test]
fn without_the_service_check_own_addresses_are_like_those_behind() {
    let networks = local(&host(), &Rules { checks_services: false, ..rules() });
    assert_eq!(networks.get(&network("192.0.2.1/32")), Some(&(Locality::Protected as u32)));
}

/// Returns addresses. Some of them become, and later cease to be, gateways, name servers and own addresses.
fn few() -> impl Strategy<Value = BTreeSet<IpAddr>> {
    prop::collection::btree_set((0..4_u8, any::<bool>()), 0..4).prop_map(|few| {
        let of = |(number, is_v4)| {
            if is_v4 {
                IpAddr::from([192, 0, 2, number])
            } else {
                IpAddr::from([0x2001, 0, 0, 0, 0, 0, 0, number.into()])
            }
        };
        few.into_iter().map(of).collect()
    })
}

fn any_host() -> impl Strategy<Value = Host> {
    (few(), few(), few(), few()).prop_map(|(addresses, broadcasts, gateways, resolvers)| {
        let local_routes = gateways.iter().map(|address| IpNet::new(*address, 31).unwrap()).collect();
        let neighbours = resolvers.iter().map(|address| IpNet::new(*address, 32).unwrap()).collect();
        Host { addresses, local_routes, broadcasts, gateways, resolvers, neighbours, ..Host::default() }
    })
}

proptest! {
    #[test]
    fn followed_changes_lead_to_what_a_new_start_finds(
        changes in prop::collection::vec((any_host(), few()), 1..6),
    ) {
        let mut followed = Exemptions::default();
        for (host, ignored) in changes {
            let ignored: Vec<IpNet> = ignored.into_iter().map(|address| IpNet::new(address, 30).unwrap()).collect();
            followed.follow_ignored(&ignored);
            followed.follow_host(&host);
            prop_assert_eq!(followed.entries(), Exemptions::new(&host, &ignored).entries());
        }
    }
}
