//! Decides whether a packet to one of the host's own addresses is for a service, or answers a request of the host.

use crate::{
    address::Address,
    bound::{Known, stamp},
    classify::{Kind, Probe, Protocol},
    environment::{FamilyMaps, Served},
    flow::Flow,
    settings::Settings,
};

/// Whether a socket of the host accepts the packet, or one did until a moment ago (`SERVED_GRACE`).
#[inline(always)]
pub(super) fn is_served<A: Address, W: FamilyMaps<A>>(flow: &Flow<A>, env: &W) -> bool {
    let Probe { protocol, port, .. } = flow.probe;
    let (slot, horizon) = (env.slot(protocol, port), env.horizon());
    match horizon.known(slot, &flow.probe, env.settings(), stamp(env.now_ns())) {
        Known::Served => true,
        Known::Unbound => false,
        Known::Unknown => {
            env.has_socket(flow)
                || horizon.is_worth_asking(slot) && env.is_in_served(flow, Served::All, horizon.open)
        }
    }
}

/// Whether a datagram may answer a socket bound to a device above the interface, which a look-up can't find. The
/// socket is on an ephemeral port, or is connected; then the network stack checks the peer.
#[inline(always)]
pub(crate) fn may_answer_hidden<A: Address, W: FamilyMaps<A>>(flow: &Flow<A>, env: &W) -> bool {
    env.has_devices_above()
        && (env.settings().is_ephemeral(flow.probe.port)
            || env.is_in_served(flow, Served::Connected, env.horizon().open))
}

/// Whether the packet is for a service bound to a device above the interface, which a look-up can't find.
#[inline(always)]
pub(super) fn is_hidden<A: Address, W: FamilyMaps<A>>(flow: &Flow<A>, env: &W) -> bool {
    env.has_devices_above()
        && env.is_in_served(flow, Served::All, env.horizon().open)
        && !env.has_socket(flow)
}

/// Whether a packet may answer a request of the host whose socket has been closed. Packets to ephemeral ports are
/// answers. Only segments of connections and datagrams qualify: a SYN or a stealth probe answers no request.
#[inline(always)]
pub(super) fn may_be_late(probe: &Probe, settings: &Settings) -> bool {
    (probe.kind == Kind::Udp || probe.kind.is_connected()) && settings.is_ephemeral(probe.port)
}

/// Whether a datagram may be a DHCP server's answer. No UDP socket need be bound for it (RFC 2131 section 4.1, RFC
/// 8415 section 7.2), because clients read it from packet sockets.
#[inline(always)]
pub(crate) const fn is_lease(version: u8, probe: &Probe) -> bool {
    let [server, client] = if version == 4 { [67, 68] } else { [547, 546] };
    matches!(probe.protocol, Protocol::Udp) && probe.source_port == server && probe.port == client
}
