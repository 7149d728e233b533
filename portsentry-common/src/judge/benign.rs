//! Whether a packet is benign: no probe.

use super::served::{is_lease, is_served, may_be_late};
use crate::{
    address::Address,
    classify::{Kind, Probe, Protocol, may_answer},
    counter::Counter,
    environment::{Environment, FamilyMaps, Locality},
    fence::is_in_session,
    flow::Flow,
    learned::{Question, is_question},
    settings::{AckProbes, Settings},
};

/// Whether a cheap check shows that a packet can't be a probe: its destination and port are known to be benign, or
/// the port is not watched.
#[inline(always)]
pub(super) fn is_harmless<A, W>(destination: A, protocol: Protocol, port: u16, kind: Kind, env: &W) -> bool
where
    A: Address,
    W: FamilyMaps<A>,
{
    may_be_cached(kind) && env.is_known_benign(destination, destination.ending(), protocol, port)
        || !env.is_watched(protocol, port)
}

/// Whether a cached benign flow covers packets of this kind.
#[inline(always)]
pub(super) fn may_be_cached(kind: Kind) -> bool {
    kind.is_connected() || kind == Kind::Udp
}

/// Whether the probe's port is a trap that accepts connections or datagrams, so that the daemon's socket reports the
/// probe.
#[inline(always)]
pub(super) fn is_trap<W: Environment>(probe: &Probe, env: &W) -> bool {
    env.settings().is_trap(probe.protocol) && env.is_listed(probe.protocol, probe.port)
}

/// Whether the settings enable this kind.
#[inline(always)]
fn is_sought(kind: Kind, settings: &Settings) -> bool {
    !kind.is_connected() || settings.ack_probes != AckProbes::Off as u8
}

/// Whether a packet to a watched port is benign: its kind is disabled, its destination is not the host's, its
/// source can't be a single host, a service or connection expects it, or it may answer a protected host.
#[inline(always)]
pub(super) fn is_benign<A: Address, W: FamilyMaps<A>>(flow: &Flow<A>, env: &W) -> bool {
    if !is_sought(flow.probe.kind, env.settings()) {
        env.remember(flow.destination, flow.probe.protocol, flow.probe.port);
        return true;
    }
    match env.locality(flow.destination) {
        Locality::Foreign => {
            env.remember(flow.destination, flow.probe.protocol, flow.probe.port);
            return true;
        }
        Locality::Own if may_be_late(&flow.probe, env.settings()) => {
            env.remember(flow.destination, flow.probe.protocol, flow.probe.port);
            return true;
        }
        // Not cached: another datagram to that port may be a probe.
        Locality::Own if is_lease(A::VERSION, &flow.probe) => return true,
        Locality::Own if is_served(flow, env) => {
            env.remember(flow.destination, flow.probe.protocol, flow.probe.port);
            env.count(Counter::Served);
            return true;
        }
        // Not cached, because packets of other sources to that port are no answers.
        Locality::Own if answers(flow, env) => {
            env.count(Counter::Served);
            return true;
        }
        Locality::Protected if may_answer_protected(&flow.probe) => return true,
        Locality::Own | Locality::Protected if is_learned(flow, env) => {
            env.count(Counter::Served);
            return true;
        }
        Locality::Own | Locality::Protected => {}
    }
    if !flow.source.is_unicast() {
        env.count(Counter::Implausible);
        return true;
    }
    false
}

/// Whether the packet answers one that the host sent to its source a moment ago, from the port to which it goes: in
/// a session of a bound socket, or in a translated connection.
#[inline(always)]
fn answers<A: Address, W: FamilyMaps<A>>(flow: &Flow<A>, env: &W) -> bool {
    match flow.probe.kind {
        Kind::Udp => is_in_session(flow, env),
        kind => kind.is_connected() && env.last_sent_ns(flow) != 0,
    }
}

/// Whether the packet asks a port that has answered lately.
#[inline(always)]
fn is_learned<A: Address, W: FamilyMaps<A>>(flow: &Flow<A>, env: &W) -> bool {
    env.settings().enforces_answers()
        && is_question(&flow.probe)
        && env.has_answered(&Question::of(flow), env.now_ns())
}

/// Whether a packet to a protected host may belong to a connection of that host, or answer its datagram. The host's
/// sockets are unknown. Datagrams count as probes only from a client's port to a well-known port.
#[inline(always)]
fn may_answer_protected(probe: &Probe) -> bool {
    match probe.kind {
        Kind::Udp => may_answer(probe),
        kind => kind.is_connected(),
    }
}
