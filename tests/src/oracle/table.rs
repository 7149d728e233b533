//! Services that stopped a moment ago, or that no look-up finds, according to the documents.

use std::net::{IpAddr, SocketAddr};

use portsentry_common::classify::{Kind, Protocol};

use super::seen::Seen;
use crate::{
    scenario::{Scenario, Table},
    sockets::Socket,
};

/// The interface on which all frames arrive.
const INTERFACE: u32 = 1;

/// `SERVED_GRACE`: a port is no trap until some time after its last service has gone. A service bound to a device
/// above the interface counts for its own addresses.
pub(super) fn was_served(table: &Table, seen: &Seen<'_>) -> bool {
    table.served.iter().any(|(protocol, at, interface)| {
        *protocol == seen.protocol
            && covers(*at, seen.ends().ours)
            && interface.is_none_or(|it| it == INTERFACE)
    })
}

/// Whether the table has a service on this very address, or one bound to a device.
pub(super) fn is_in_table(table: &Table, seen: &Seen<'_>) -> bool {
    let ours = seen.ends().ours;
    table.served.iter().any(|(protocol, at, interface)| {
        let is_there = match interface {
            Some(interface) => *interface == INTERFACE,
            None => at.ip() == ours.ip(),
        };
        *protocol == seen.protocol && covers(*at, ours) && is_there
    })
}

/// Threat model: if another device is above the interface, a fence passes packets that may belong to that device's
/// sockets. These are segments that open no connection, and datagrams to an ephemeral port or to a connected
/// socket.
pub(super) fn may_be_hidden(scenario: &Scenario, seen: &Seen<'_>) -> bool {
    let ours = seen.ends().ours;
    let range = scenario.settings.first_ephemeral..=scenario.settings.last_ephemeral;
    let is_expected = || range.contains(&ours.port().into()) || scenario.table.connected.contains(&ours);
    scenario.table.has_devices_above && (seen.protocol == Protocol::Tcp || is_expected())
}

/// ARCHITECTURE: without a look-up, a SYN or datagram to an unbound port belongs to no socket, even if the port has
/// a connection.
pub(super) fn is_unbound(scenario: &Scenario, seen: &Seen<'_>) -> bool {
    let ours = seen.ends().ours;
    let is_bound = |socket: &Socket| match *socket {
        Socket::Listener(at) => seen.protocol == Protocol::Tcp && is_near(at, ours),
        Socket::Bound(at) | Socket::Connected((at, _)) => seen.protocol == Protocol::Udp && is_near(at, ours),
        Socket::Connection(_) | Socket::TimeWait(_) => false,
    };
    let begins = [Kind::Syn, Kind::Udp].contains(&seen.kind);
    let settings = &scenario.settings;
    scenario.table.is_complete
        && begins
        && !(settings.first_ephemeral..=settings.last_ephemeral).contains(&ours.port().into())
        && !scenario.sockets.iter().any(is_bound)
}

/// Only answers go to ephemeral ports: datagrams and segments of connections to these ports never count.
pub(super) fn may_be_late(scenario: &Scenario, seen: &Seen<'_>) -> bool {
    let range = scenario.settings.first_ephemeral..=scenario.settings.last_ephemeral;
    range.contains(&seen.port().into()) && (seen.kind == Kind::Udp || seen.is_of_a_connection())
}

/// Replies to the host's own DHCP client are never probes: 67 to 68 over IPv4, 547 to 546 over IPv6.
pub(super) fn is_lease(seen: &Seen<'_>) -> bool {
    let is_v4 = seen.packet.destination.is_ipv4();
    seen.protocol == Protocol::Udp && seen.ports == if is_v4 { [67, 68] } else { [547, 546] }
}

fn covers(at: SocketAddr, ours: SocketAddr) -> bool {
    at.port() == ours.port()
        && match at.ip() {
            IpAddr::V4(v4) if v4.is_unspecified() => ours.is_ipv4(),
            // A socket on `[::]` accepts IPv4, too.
            IpAddr::V6(v6) if v6.is_unspecified() => true,
            ip => ip == ours.ip(),
        }
}

/// Whether the port is bound in that address family, on any address except loopback.
fn is_near(at: SocketAddr, ours: SocketAddr) -> bool {
    let is_family = at.is_ipv4() == ours.is_ipv4() || at.ip().is_unspecified() && at.is_ipv6();
    at.port() == ours.port() && is_family && !at.ip().is_loopback()
}
