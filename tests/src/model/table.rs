//! The table of bound ports in a scenario.

use std::net::{IpAddr, SocketAddr};

use portsentry_common::{
    address::Address,
    bound::{Horizon, PER_SECOND, Slot, stamp},
    classify::Protocol,
    environment::Served,
    flow::Flow,
};

use super::ip::ip;
use crate::{
    scenario::{Scenario, Table},
    sockets::Socket,
};

/// Stamps older than a minute don't count. In a scenario each stamp is current or two minutes old. A freshly booted
/// machine has no such old times.
pub(super) fn horizon(table: &Table, now_ns: u64) -> Horizon {
    let now = stamp(now_ns);
    Horizon {
        open: now.saturating_sub(60 * PER_SECOND),
        bound: now.saturating_sub(90 * PER_SECOND),
        dumped: now,
        is_complete: table.is_complete.into(),
        traps: [0; 4],
        is_flat: 0,
    }
}

pub(super) fn slot(
    Scenario { table, sockets, .. }: &Scenario,
    version: u8,
    port: (Protocol, u16),
    now_ns: u64,
) -> Slot {
    let now = stamp(now_ns);
    let old = now.saturating_sub(120 * PER_SECOND);
    let is_here = |protocol, at: SocketAddr| (protocol, at.port()) == port && takes(at.ip(), version);
    let is_open = |at: SocketAddr| at.ip().is_unspecified();
    let mut slot = Slot::default();
    if table.over.iter().any(|(protocol, at)| is_here(*protocol, *at)) {
        slot.bound = old;
    }
    if table.over.iter().any(|(protocol, at)| is_here(*protocol, *at) && is_open(*at)) {
        slot.open = old;
    }
    for (_, at, interface) in table.served.iter().filter(|(protocol, at, _)| is_here(*protocol, *at)) {
        slot.bound = now;
        if is_open(*at) && interface.is_none() {
            slot.open = now;
        }
    }
    let bound = |socket: &Socket| match *socket {
        Socket::Listener(at) => Some((Protocol::Tcp, at)),
        Socket::Bound(at) | Socket::Connected((at, _)) => Some((Protocol::Udp, at)),
        Socket::Connection(_) | Socket::TimeWait(_) => None,
    };
    let is_bound = sockets.iter().filter_map(bound).any(|(protocol, at)| is_here(protocol, at));
    if table.is_complete && is_bound {
        slot.bound = now;
    }
    slot
}

pub(super) fn is_in_served<A: Address>(table: &Table, flow: &Flow<A>, which: Served) -> bool {
    const HERE: u32 = 1;
    if which == Served::Connected {
        let at = SocketAddr::new(ip(flow.destination), flow.probe.port);
        return flow.probe.protocol == Protocol::Udp && table.connected.contains(&at);
    }
    table.served.iter().any(|(protocol, at, interface)| {
        let is_address = at.ip() == ip(flow.destination);
        let is_port = (*protocol, at.port()) == (flow.probe.protocol, flow.probe.port);
        is_port
            && match interface {
                Some(HERE) => is_address || at.ip().is_unspecified() && takes(at.ip(), A::VERSION),
                Some(_) => false,
                None => is_address,
            }
    })
}

/// Whether a socket with this address accepts packets of this IP version. A socket on `[::]` accepts both.
fn takes(address: IpAddr, version: u8) -> bool {
    match address {
        IpAddr::V4(_) => version == 4,
        IpAddr::V6(v6) => version == 6 || v6.is_unspecified(),
    }
}
