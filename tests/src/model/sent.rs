//! The model's view of the host's sent packets.

use std::net::SocketAddr;

use portsentry_common::{
    address::{Address, Ipv6},
    classify::Probe,
    flow::Flow,
    parse::TcpFlags,
    session,
    settings::Settings,
    state::{FlowKey, SteerKey},
};

use super::ip::ip;
use crate::{sent::Sent, test_host};

/// Whether the host sent a packet to the source of `flow` from the port to which `flow` goes.
pub(super) fn goes_on<A: Address>(sent: &[Sent], flow: &Flow<A>, settings: &Settings) -> bool {
    let key = |port| {
        let remote = flow.source.to_mapped().halves();
        FlowKey::new(remote, port, flow.probe.port, flow.probe.protocol as u8)
    };
    let keys = [key(flow.probe.source_port), key(0)];
    let lessons = sent.iter().filter(|sent| teaches(sent)).map(|sent| read(sent).lesson(settings));
    lessons
        .into_iter()
        .any(|lesson| [Some(lesson.flow), lesson.any_port].iter().flatten().any(|key| keys.contains(key)))
}

/// Whether another host's service was seen at the destination of `flow`.
pub(super) fn needs_syn<A: Address>(sent: &[Sent], flow: &Flow<A>) -> bool {
    let to = SocketAddr::new(ip(flow.destination), flow.probe.port);
    let is_service = |sent: &Sent| read(sent).lesson(&Settings::UNSET).is_service;
    sent.iter()
        .filter(|sent| teaches(sent))
        .any(|sent| sent.protocol == flow.probe.protocol && sent.local == to && is_service(sent))
}

/// Whether the packet comes from one of the host's addresses and shows something that a socket look-up doesn't.
fn teaches(sent: &Sent) -> bool {
    read(sent).is_of_interest() && test_host::OWN.contains(&sent.local.ip().to_string().as_str())
}

fn read(sent: &Sent) -> session::Sent {
    let remote = match sent.remote.ip() {
        std::net::IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        std::net::IpAddr::V6(v6) => v6,
    };
    session::Sent {
        remote: Ipv6::from(remote).halves(),
        remote_port: sent.remote.port(),
        port: sent.local.port(),
        protocol: sent.protocol,
        flags: TcpFlags(sent.flags),
        is_forwarded: sent.is_forwarded,
    }
}

/// Returns the key of a connection.
pub(super) fn connection<A: Address>(flow: &Flow<A>) -> SteerKey {
    let Probe { source_port, port, protocol, .. } = flow.probe;
    SteerKey::new(flow.source.to_mapped(), source_port, port, protocol as u8)
}
