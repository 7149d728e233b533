//! Conclusions from packets that the host sent, according to the documents.

use std::net::SocketAddr;

use portsentry_common::classify::Protocol;

use super::seen::Seen;
use crate::{scenario::Scenario, sent::Sent, test_host};

/// TCP's SYN, RST and ACK.
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Whether the host sent such a packet to the source from the port to which this packet goes: a datagram, or a
/// segment that it forwarded. After a datagram from an ephemeral port, its receiver may also send from any port to
/// the same port number here.
pub(super) fn was_sent_to(scenario: &Scenario, seen: &Seen<'_>) -> bool {
    let range = scenario.settings.first_ephemeral..=scenario.settings.last_ephemeral;
    let ends = seen.ends();
    of(scenario, seen.protocol).any(|Sent { local, remote, .. }| {
        let is_answer = *remote == ends.theirs && local.port() == ends.ours.port();
        let is_fixed = seen.protocol == Protocol::Udp && range.contains(&local.port().into());
        is_answer || is_fixed && remote.ip() == ends.theirs.ip() && remote.port() == ends.ours.port()
    })
}

/// Whether the destination is another host's service, because its SYN-ACK was forwarded.
pub(super) fn needs_syn(scenario: &Scenario, seen: &Seen<'_>) -> bool {
    let to: SocketAddr = seen.ends().ours;
    of(scenario, Protocol::Tcp).any(|sent| sent.local == to && sent.flags & (SYN | ACK) == SYN | ACK)
}

/// Returns the packets that matter: sent from the host's addresses; for TCP only forwarded ones other than resets.
fn of(scenario: &Scenario, protocol: Protocol) -> impl Iterator<Item = &Sent> {
    scenario.sent.iter().filter(move |sent| {
        let is_own = test_host::OWN.contains(&sent.local.ip().to_string().as_str());
        let is_unknown = protocol == Protocol::Udp || sent.is_forwarded && sent.flags & RST == 0;
        sent.protocol == protocol && is_own && is_unknown
    })
}
