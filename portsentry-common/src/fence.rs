//! The packets that a fenced source may still send: those that belong to existing connections or answer this host,
//! but none that could open a connection.
//!
//! A source is fenced because packets with its address probed, and that address may be spoofed. Therefore its
//! connections to this host, and this host's connections to it, must continue.

use crate::{
    address::Address,
    classify::{Kind, Probe, Protocol, may_answer, tcp},
    environment::{Connection, FamilyMaps, Locality},
    flow::Flow,
    judge::served::{is_lease, may_answer_hidden},
    parse::{Datagram, Fragment, TCP, TcpFlags, Transport, UDP},
    settings::Settings,
};

/// Protocols besides TCP and UDP that can open associations: DCCP, SCTP, UDP-Lite.
const OPENING: [u8; 3] = [33, 132, 136];

/// The effect of a fenced source's packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It belongs to a connection, or is harmless: it passes.
    Belongs,
    /// It belongs to an established connection to this host: it passes, and shows that its source is a client.
    Uses(Probe),
    /// It completes the handshake of a connection to a service, and passes.
    Begins(Probe),
    /// It could open a connection: it is dropped.
    Opens(Option<Probe>),
    /// It acknowledges something that no socket of this host sent. It is dropped, unless it acknowledges a cookie.
    Acknowledges(Probe),
    /// It may acknowledge something to an unknown socket: one of a host behind this gateway, or one bound to a
    /// device above the interface. It passes, unless it acknowledges a cookie, because the other host must not see
    /// that.
    MayAcknowledge(Probe),
}

/// Returns the effect of the packet with `transport` from `source`.
#[inline(always)]
pub fn doing<A, W>(source: A, datagram: &Datagram<A>, transport: &Transport, env: &W) -> Doing
where
    A: Address,
    W: FamilyMaps<A>,
{
    let Some(probe) = segment(transport) else {
        let opens = *transport == Transport::Hidden
            || datagram.fragment != Fragment::Later && OPENING.contains(&datagram.protocol);
        return if opens { Doing::Opens(None) } else { Doing::Belongs };
    };
    let flow = Flow { source, destination: datagram.destination, probe };
    if opens_at_once(probe.kind) {
        return Doing::Opens(Some(probe));
    }
    if probe.flags & TcpFlags::RST != 0 {
        return Doing::Belongs;
    }
    match (probe.protocol, env.locality(datagram.destination)) {
        (Protocol::Tcp, Locality::Own) => match env.connection(&flow) {
            Connection::Established => Doing::Uses(probe),
            Connection::Beginning => Doing::Begins(probe),
            Connection::Passing => Doing::Belongs,
            // This host doesn't see the sockets of another host's service.
            Connection::None if env.last_sent_ns(&flow) != 0 => Doing::Belongs,
            Connection::None if env.has_devices_above() => Doing::MayAcknowledge(probe),
            Connection::None => Doing::Acknowledges(probe),
        },
        (Protocol::Tcp, Locality::Protected) => Doing::MayAcknowledge(probe),
        // The challenge never answers for such an address.
        (Protocol::Tcp, Locality::Foreign) => Doing::Belongs,
        (Protocol::Udp, Locality::Own)
            if is_lease(A::VERSION, &probe)
                || env.is_expected(&flow)
                || is_in_session(&flow, env)
                || may_answer_hidden(&flow, env) =>
        {
            Doing::Belongs
        }
        (Protocol::Udp, Locality::Protected | Locality::Foreign) if may_answer(&probe) => Doing::Belongs,
        (Protocol::Udp, _) => Doing::Opens(Some(probe)),
    }
}

/// Whether a datagram belongs to a session: the host sent one to its source a moment ago (`UDP_SESSION`), from the
/// port to which the datagram goes.
#[inline(always)]
pub(crate) fn is_in_session<A: Address, W: FamilyMaps<A>>(flow: &Flow<A>, env: &W) -> bool {
    let sent_ns = env.last_sent_ns(flow);
    // The sending time may be later than `now_ns`, whose resolution is a tick.
    sent_ns != 0 && env.now_ns().saturating_sub(sent_ns) < env.settings().session_ns
}

/// Whether every segment of this kind from a fenced source is dropped, whatever its port: it belongs to no connection,
/// and nothing answers it.
#[inline(always)]
#[must_use]
pub const fn never_passes(kind: Kind, settings: &Settings) -> bool {
    match kind {
        Kind::Fin | Kind::Null | Kind::Xmas | Kind::Unknown => true,
        Kind::Syn => !settings.opens() && settings.challenge_rate == 0 && !settings.is_trap(Protocol::Tcp),
        _ => false,
    }
}

#[inline(always)]
const fn opens_at_once(kind: Kind) -> bool {
    matches!(kind, Kind::Syn | Kind::Fin | Kind::Null | Kind::Xmas | Kind::Unknown | Kind::Fragment)
}

/// Returns the probe that a packet may be. For a segment that is only an answer, returns an ACK probe with its
/// flags.
#[inline(always)]
fn segment(transport: &Transport) -> Option<Probe> {
    let (protocol, kind, [source_port, port], flags) = match *transport {
        Transport::Tcp { source_port, port, flags } => {
            (Protocol::Tcp, tcp(flags).unwrap_or(Kind::Ack), [source_port, port], flags.0)
        }
        Transport::TinyTcp { source_port, port } => (Protocol::Tcp, Kind::Fragment, [source_port, port], 0),
        Transport::Udp { source_port, port } => (Protocol::Udp, Kind::Udp, [source_port, port], 0),
        Transport::Hidden | Transport::Other => return None,
    };
    Some(Probe { protocol, kind, source_port, port, flags })
}

const _: () = assert!(TCP == Protocol::Tcp as u8 && UDP == Protocol::Udp as u8);
