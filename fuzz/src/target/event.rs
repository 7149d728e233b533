//! The ring's records: a valid record is decoded exactly, any other data is refused.

use std::net::{IpAddr, Ipv6Addr};

use bytemuck::Zeroable;
use portsentry::kernel::decode;
use portsentry_common::{
    classify::KINDS,
    decide::Verdict,
    event::{Event, ScanEvent},
};

/// The verdicts with evidence of a scan.
const OF_SCANS: [u8; 4] =
    [Verdict::Noticed as u8, Verdict::Counted as u8, Verdict::Report as u8, Verdict::Fence as u8];

pub(super) fn check(data: &[u8]) {
    let decoded = decode(data);
    assert_eq!(decoded.is_some(), is_sensible(data), "{data:02x?}");
    let Some(sighting) = decoded else { return };
    let event = event(data).expect("a record that was decoded");
    let address = |octets: [u8; 16]| IpAddr::from(Ipv6Addr::from(octets)).to_canonical();
    assert_eq!(sighting.source, address(event.source.octets));
    assert_eq!(sighting.destination, address(event.destination.octets));
    assert_eq!((sighting.source_port, sighting.port), (event.source_port, event.port));
    assert_eq!((sighting.kind as u8, sighting.verdict as u8), (event.kind, event.verdict));
    assert_eq!((sighting.protocol as u8, sighting.flags), (event.protocol, event.flags));
    let evidence = bytemuck::try_pod_read_unaligned::<ScanEvent>(data).ok().map(|it| it.evidence);
    assert_eq!(
        sighting.scan.map(|it| (it.pairs, it.span, it.score.0, it.is_sweep, it.is_peer)),
        evidence.map(|it| (it.failed, it.span, it.score, it.is_sweep(), it.is_peer())),
    );
    assert_eq!((sighting.hits, sighting.vlan, sighting.interface), (event.hits, event.vlan, event.interface));
}

/// Whether `data` has the size of a record, and all of its numbers are valid.
fn is_sensible(data: &[u8]) -> bool {
    let Some(event) = event(data) else { return false };
    let verdicts = if data.len() == size_of::<ScanEvent>() { &OF_SCANS[..] } else { &[1, 2, 3, 4, 5, 6, 7] };
    i64::try_from(event.time_ns).is_ok()
        && KINDS.iter().any(|kind| *kind as u8 == event.kind)
        && [6, 17].contains(&event.protocol)
        && verdicts.contains(&event.verdict)
}

/// Returns the event in a record of either kind.
fn event(data: &[u8]) -> Option<Event> {
    let of_scan = bytemuck::try_pod_read_unaligned::<ScanEvent>(data).map(|it| it.event);
    of_scan.or_else(|_| bytemuck::try_pod_read_unaligned(data)).ok()
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let event = |kind: u8| Event { kind, verdict: 1 + kind % 7, protocol: 6, ..Event::zeroed() };
    let scan = |verdict| ScanEvent { event: Event { verdict, ..event(0) }, ..ScanEvent::zeroed() };
    let scans = OF_SCANS.map(|verdict| bytemuck::bytes_of(&scan(verdict)).to_vec());
    KINDS.iter().map(|kind| bytemuck::bytes_of(&event(*kind as u8)).to_vec()).chain(scans).collect()
}
