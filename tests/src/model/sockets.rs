//! Socket look-ups like Linux's, on a list of sockets.

use std::net::{IpAddr, SocketAddr};

use portsentry_common::{address::Address, classify::Protocol, environment::Connection, flow::Flow};

use super::ip::ip;
use crate::sockets::Socket;

/// Whether one of `sockets` explains `flow`.
pub(super) fn explain<A: Address>(sockets: &[Socket], flow: &Flow<A>) -> bool {
    let pair = pair(flow);
    let local = pair.0;
    sockets.iter().any(|socket| match (flow.probe.protocol, *socket) {
        (Protocol::Tcp, Socket::Listener(at)) | (Protocol::Udp, Socket::Bound(at)) => takes(at, local),
        (Protocol::Tcp, Socket::Connection(ends)) | (Protocol::Udp, Socket::Connected(ends)) => ends == pair,
        // The peer may still send segments of the connection, but none that open one.
        (Protocol::Tcp, Socket::TimeWait(ends)) => ends == pair && flow.probe.kind.is_connected(),
        _ => false,
    })
}

/// Returns the connection among `sockets` that accepts the segments of `flow`.
pub(super) fn connect<A: Address>(sockets: &[Socket], flow: &Flow<A>) -> Connection {
    let pair = pair(flow);
    let found = sockets.iter().find_map(|socket| match *socket {
        Socket::Connection(ends) if ends == pair => Some(Connection::Established),
        Socket::TimeWait(ends) if ends == pair => Some(Connection::Passing),
        _ => None,
    });
    found.unwrap_or(Connection::None)
}

/// Whether one of `sockets` expects a datagram of `flow`.
pub(super) fn expect<A: Address>(sockets: &[Socket], flow: &Flow<A>, first_ephemeral: u32) -> bool {
    let pair = pair(flow);
    sockets.iter().any(|socket| match *socket {
        Socket::Connected(ends) => ends == pair,
        Socket::Bound(at) => takes(at, pair.0) && u32::from(at.port()) >= first_ephemeral,
        _ => false,
    })
}

fn pair<A: Address>(flow: &Flow<A>) -> (SocketAddr, SocketAddr) {
    let local = SocketAddr::new(ip(flow.destination), flow.probe.port);
    (local, SocketAddr::new(ip(flow.source), flow.probe.source_port))
}

/// Whether a socket bound to `at` accepts packets to `local`. A socket on `[::]` accepts both address families.
fn takes(at: SocketAddr, local: SocketAddr) -> bool {
    let is_address = match at.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => local.is_ipv4(),
        IpAddr::V6(ip) if ip.is_unspecified() => true,
        ip => ip == local.ip(),
    };
    is_address && at.port() == local.port()
}
