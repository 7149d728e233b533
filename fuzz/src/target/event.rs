//! The ring's records: what is decoded says what the record says; anything else is refused.

use std::net::{IpAddr, Ipv6Addr};

use bytemuck::Zeroable;
use portsentry::kernel::decode;
use portsentry_common::{classify::KINDS, event::Event};

pub(super) fn check(data: &[u8]) {
    let Some(sighting) = decode(data) else { return };
    let event: Event = bytemuck::pod_read_unaligned(data);
    let address = |octets: [u8; 16]| IpAddr::from(Ipv6Addr::from(octets)).to_canonical();
    assert_eq!(sighting.source, address(event.source.octets));
    assert_eq!(sighting.destination, address(event.destination.octets));
    assert_eq!((sighting.source_port, sighting.port), (event.source_port, event.port));
    assert_eq!((sighting.kind as u8, sighting.verdict as u8), (event.kind, event.verdict));
    assert_eq!((sighting.protocol as u8, sighting.flags), (event.protocol, event.flags));
    assert_eq!((sighting.hits, sighting.vlan, sighting.interface), (event.hits, event.vlan, event.interface));
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let event = |kind: u8| Event { kind, verdict: 1 + kind % 7, protocol: 6, ..Event::zeroed() };
    KINDS.iter().map(|kind| bytemuck::bytes_of(&event(*kind as u8)).to_vec()).collect()
}
