//! What follows from packets that the host sent, from the documents.

use std::net::SocketAddr;

use portsentry_common::classify::Protocol;

use super::seen::Seen;
use crate::{
    scenario::{Scenario, Sent},
    test_host,
};

/// TCP's SYN, RST and ACK.
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Whether the host sent a packet of the kind to the source, from the port that it goes to: a datagram, or a segment that it forwarded
/// for a host behind it. "A datagram from an ephemeral port to a port of another host's opens the same port here to that host."
pub(super) fn was_sent_to(scenario: &Scenario, seen: &Seen<'_>) -> bool {
    let range = scenario.settings.first_ephemeral..=scenario.settings.last_ephemeral;
    let ends = seen.ends();
    of(scenario, seen.protocol).any(|Sent { local, remote, .. }| {
        let is_answer = *remote == ends.theirs && local.port() == ends.ours.port();
        let is_fixed = seen.protocol == Protocol::Udp && range.contains(&local.port().into());
        is_answer || is_fixed && remote.ip() == ends.theirs.ip() && remote.port() == ends.ours.port()
    })
}

/// Whether another host's service was seen at the destination: its SYN-ACK was forwarded.
pub(super) fn needs_syn(scenario: &Scenario, seen: &Seen<'_>) -> bool {
    let to: SocketAddr = seen.ends().ours;
    of(scenario, Protocol::Tcp).any(|sent| sent.local == to && sent.flags & (SYN | ACK) == SYN | ACK)
}

/// Those that teach something: from own addresses; of TCP those of other hosts, resets aside.
fn of(scenario: &Scenario, protocol: Protocol) -> impl Iterator<Item = &Sent> {
    scenario.sent.iter().filter(move |sent| {
        let is_own = test_host::OWN.contains(&sent.local.ip().to_string().as_str());
        let is_unknown = protocol == Protocol::Udp || sent.is_forwarded && sent.flags & RST == 0;
        sent.protocol == protocol && is_own && is_unknown
    })
}
