//! The ring's records: a valid record is decoded exactly, any other data is refused.

use std::net::{IpAddr, Ipv6Addr};

use bytemuck::Zeroable;
use portsentry::kernel::decode;
use portsentry_common::{classify::KINDS, event::Event};

pub(super) fn check(data: &[u8]) {
    let decoded = decode(data);
    assert_eq!(decoded.is_some(), is_sensible(data), "{data:02x?}");
    let Some(sighting) = decoded else { return };
    let event: Event = bytemuck::pod_read_unaligned(data);
    let address = |octets: [u8; 16]| IpAddr::from(Ipv6Addr::from(octets)).to_canonical();
    assert_eq!(sighting.source, address(event.source.octets));
    assert_eq!(sighting.destination, address(event.destination.octets));
    assert_eq!((sighting.source_port, sighting.port), (event.source_port, event.port));
    assert_eq!((sighting.kind as u8, sighting.verdict as u8), (event.kind, event.verdict));
    assert_eq!((sighting.protocol as u8, sighting.flags), (event.protocol, event.flags));
    assert_eq!((sighting.hits, sighting.vlan, sighting.interface), (event.hits, event.vlan, event.interface));
}

/// Whether `data` has the size of a record, and all of its numbers are valid.
fn is_sensible(data: &[u8]) -> bool {
    let Ok(event) = bytemuck::try_pod_read_unaligned::<Event>(data) else { return false };
    i64::try_from(event.time_ns).is_ok()
        && KINDS.iter().any(|kind| *kind as u8 == event.kind)
        && [6, 17].contains(&event.protocol)
        && (1..=7).contains(&event.verdict)
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let event = |kind: u8| Event { kind, verdict: 1 + kind % 7, protocol: 6, ..Event::zeroed() };
    KINDS.iter().map(|kind| bytemuck::bytes_of(&event(*kind as u8)).to_vec()).collect()
}
