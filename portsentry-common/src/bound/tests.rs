use core::net::{IpAddr, Ipv6Addr};
use std::vec::Vec;

use bytemuck::Zeroable;
use proptest::prelude::*;

use super::*;

const HORIZON: Horizon =
    Horizon { open: 100, bound: 50, dumped: 200, is_complete: 1, traps: [0; 4], is_flat: 0 };

fn probe(kind: Kind, port: u16) -> Probe {
    let protocol = if kind == Kind::Udp { Protocol::Udp } else { Protocol::Tcp };
    Probe { protocol, kind, source_port: 40_000, port, flags: 0 }
}

fn halves(text: &str) -> [u64; 2] {
    let address: Ipv6Addr = match text.parse().unwrap() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    Ipv6::from(address).halves()
}

#[test]
fn a_port_is_served_until_its_stamp_is_over_whatever_comes_to_it() {
    let settings = Settings::zeroed();
    for kind in crate::classify::KINDS {
        for (open, expected) in [(101, true), (100, false), (0, false)] {
            let slot = Slot { bound: 201, open };
            let known = HORIZON.known(slot, &probe(kind, 22), &settings, 201);
            assert_eq!(known == Known::Served, expected, "{kind:?}, open {open}");
        }
    }
}

#[test]
fn only_a_fresh_and_complete_table_tells_that_a_port_is_unbound() {
    let settings = Settings { first_ephemeral: 32_768, last_ephemeral: 60_999, ..Settings::zeroed() };
    let unbound = |horizon: Horizon, slot, kind, port, now| {
        horizon.known(slot, &probe(kind, port), &settings, now) == Known::Unbound
    };
    let never = Slot::default();
    assert!(unbound(HORIZON, never, Kind::Syn, 22, 201));
    assert!(unbound(HORIZON, never, Kind::Udp, 61_000, 200 + FRESH));
    assert!(!unbound(HORIZON, never, Kind::Syn, 22, 201 + FRESH), "the dump is old");
    assert!(!unbound(HORIZON, never, Kind::Syn, 32_768, 201), "the port is ephemeral");
    assert!(!unbound(HORIZON, never, Kind::Ack, 22, 201), "a connection outlives its listener");
    assert!(
        !unbound(HORIZON, Slot { bound: 51, open: 0 }, Kind::Syn, 22, 201),
        "it was bound within the hour"
    );
    assert!(!unbound(Horizon { is_complete: 0, ..HORIZON }, never, Kind::Syn, 22, 201), "no hook sees binds");
    assert!(!unbound(Horizon::NONE, never, Kind::Syn, 22, 1), "nothing was dumped yet");
}

#[test]
fn a_socket_reaches_as_far_as_its_address() {
    for (address, expected) in [
        ("0.0.0.0", Reach::EveryIpv4),
        ("::", Reach::EveryIpv6),
        ("127.0.0.1", Reach::Nowhere),
        ("127.0.0.53", Reach::Nowhere),
        ("::1", Reach::Nowhere),
        ("192.0.2.1", Reach::One),
        ("128.0.0.1", Reach::One),
        ("2001:db8::1", Reach::One),
        ("::2", Reach::One),
        ("fe80::1", Reach::One),
    ] {
        assert_eq!(reach(halves(address)), expected, "{address}");
    }
    assert_eq!((EVERY_IPV4, EVERY_IPV6), (halves("0.0.0.0"), halves("::")));
}

#[test]
fn a_year_of_stamps_fits() {
    const YEAR_NS: u64 = 365 * 86_400 * 1_000_000_000;
    assert_eq!(stamp(0), 1);
    assert!(stamp(9 * YEAR_NS) > stamp(YEAR_NS));
    let second = stamp(YEAR_NS + 1_000_000_000) - stamp(YEAR_NS);
    assert!(second.abs_diff(PER_SECOND) <= 1, "{second}");
}

proptest! {
    #[test]
    fn every_port_has_a_slot_of_its_own(one: (bool, bool, u16), other: (bool, bool, u16)) {
        let of = |(is_udp, is_v6, port)| {
            slot(if is_udp { Protocol::Udp } else { Protocol::Tcp }, if is_v6 { 6 } else { 4 }, port)
        };
        prop_assert!(of(one) < SLOTS);
        prop_assert_eq!(of(one) == of(other), one == other);
    }

    #[test]
    fn a_key_reads_as_it_is_built(address: u128, interface: u32, port: u16, protocol: u8) {
        let address = Ipv6::from(Ipv6Addr::from(address));
        let key = ServedKey::new(address.halves(), interface, port, protocol);
        prop_assert_eq!(key, ServedKey { address, interface, port, protocol, is_connected: 0 });
    }
}

#[test]
fn every_trap_has_a_place_of_its_own() {
    let places: Vec<usize> = [Protocol::Tcp, Protocol::Udp]
        .into_iter()
        .flat_map(|protocol| [4, 6].map(|version| trap(protocol, version)))
        .collect();
    assert_eq!(places, [0, 1, 2, 3]);
}
