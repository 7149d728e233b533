use super::*;
use crate::netlink::written;

/// `AF_INET` and `AF_INET6`.
const V4: u8 = 2;
const V6: u8 = 10;

fn octets(text: &str) -> Vec<u8> {
    match text.parse().unwrap() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Returns a route's message with this family, prefix length, kind and attributes.
fn route(family: u8, length: u8, kind: u8, attributes: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut body = vec![family, length, 0, 0, 254, 3, 0, kind, 0, 0, 0, 0];
    attributes.iter().for_each(|(kind, value)| body.extend(written(*kind, value)));
    body
}

fn read(kind: u16, body: &[u8]) -> Routes {
    let mut routes = Routes::default();
    routes.add(Message { kind, flags: 0, body });
    routes
}

fn via(text: &str) -> Vec<u8> {
    [libc::AF_INET6.cast_unsigned().to_ne_bytes()[..2].to_vec(), octets(text)].concat()
}

fn path(attributes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(HOP + attributes.len()).unwrap();
    [&length.to_ne_bytes()[..], &[0; 6], attributes].concat()
}

#[test]
fn every_kind_of_next_hop_is_a_gateway() {
    let paths = [
        path(&written(libc::RTA_GATEWAY, &octets("192.0.2.3"))),
        path(&written(libc::RTA_VIA, &via("fe80::4"))),
    ];
    for (attributes, expected) in [
        (vec![(libc::RTA_GATEWAY, octets("192.0.2.1"))], &["192.0.2.1"][..]),
        (vec![(libc::RTA_VIA, via("fe80::2"))], &["fe80::2"]),
        (vec![(libc::RTA_MULTIPATH, paths.concat())], &["192.0.2.3", "fe80::4"]),
        (vec![(libc::RTA_DST, octets("198.51.100.0"))], &[]),
    ] {
        let read = read(libc::RTM_NEWROUTE, &route(V4, 24, libc::RTN_UNICAST, &attributes));
        let expected = expected.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(read.gateways, expected, "{attributes:?}");
        assert!(read.local.is_empty());
    }
    let mut object = vec![V6, 0, 0, 0, 0, 0, 0, 0];
    object.extend(written(NHA_GATEWAY, &octets("2001:db8::1")));
    let expected = ["2001:db8::1".parse().unwrap()].into();
    assert_eq!(read(RTM_NEWNEXTHOP, &object).gateways, expected);
}

#[test]
fn local_routes_are_own_networks_unless_they_are_a_proxys() {
    for (family, destination, length, expected) in [
        (V4, Some("198.51.100.0"), 24, Some("198.51.100.0/24")),
        (V4, Some("192.0.2.1"), 32, Some("192.0.2.1/32")),
        (V4, Some("127.0.0.0"), 8, Some("127.0.0.0/8")),
        (V6, Some("2001:db8:1::"), 64, Some("2001:db8:1::/64")),
        (V4, None, 0, None),
        (V6, None, 0, None),
        (V4, Some("128.0.0.0"), 1, None),
        (V4, Some("224.0.0.0"), 8, None),
        (V6, Some("ff00::"), 16, None),
    ] {
        let attributes: Vec<_> = destination.map(|text| (libc::RTA_DST, octets(text))).into_iter().collect();
        let read = read(libc::RTM_NEWROUTE, &route(family, length, libc::RTN_LOCAL, &attributes));
        let expected: BTreeSet<IpNet> = expected.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(read.local, expected, "{destination:?}/{length}");
    }
}

#[test]
fn destinations_of_broadcast_routes_are_broadcast_addresses() {
    let attributes = [(libc::RTA_DST, octets("192.0.2.255"))];
    let read = read(libc::RTM_NEWROUTE, &route(V4, 32, libc::RTN_BROADCAST, &attributes));
    assert_eq!(read.broadcasts, ["192.0.2.255".parse().unwrap()].into());
    assert!(read.local.is_empty());
}

#[test]
fn a_network_has_two_broadcast_addresses_unless_it_is_too_small() {
    let of = |length| {
        let address = "192.0.2.9".parse().unwrap();
        Assigned { index: 1, address, length, broadcast: None }.broadcasts().collect::<Vec<_>>()
    };
    let expected: [IpAddr; 2] = ["192.0.2.15", "192.0.2.8"].map(|text| text.parse().unwrap());
    assert_eq!(of(29), expected);
    assert!(of(31).is_empty() && of(32).is_empty());
}

#[test]
fn the_end_of_a_point_to_point_link_that_is_ours_is_the_own_address() {
    let mut body = vec![V4, 32, 0, 0];
    body.extend(3_u32.to_ne_bytes());
    body.extend(written(libc::IFA_ADDRESS, &octets("192.0.2.2")));
    body.extend(written(libc::IFA_LOCAL, &octets("192.0.2.1")));
    let read = Assigned::read(Message { kind: libc::RTM_NEWADDR, flags: 0, body: &body }).unwrap();
    assert_eq!((read.index, read.address), (3, "192.0.2.1".parse().unwrap()));
    assert!(read.is_beyond_link());
}
