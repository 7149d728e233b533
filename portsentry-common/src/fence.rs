//! What a fenced source may still send: whatever belongs to what exists or answers what we asked, and nothing that
//! could open anything.
//!
//! A source is fenced because packets in its name probed; its address may be forged. So it must keep its connections,
//! and we ours to it.

use crate::{
    address::Address,
    classify::{Kind, Probe, Protocol, tcp},
    environment::{Connection, FamilyMaps, Flow, Locality},
    judge::served::{is_hidden, is_lease},
    parse::{Datagram, Fragment, TCP, TcpFlags, Transport, UDP},
};

/// Protocols that open associations of their own beside TCP and UDP: DCCP, SCTP, UDP-Lite.
const OPENING: [u8; 3] = [33, 132, 136];

/// What a packet of a fenced source does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It belongs to what exists, or harms nobody: it passes.
    Belongs,
    /// It belongs to an established connection of ours: it passes, and speaks for its source.
    Uses(Probe),
    /// It could open something: it is dropped.
    Opens(Option<Probe>),
    /// It acknowledges something that no socket of ours has sent: it is dropped, unless it acknowledges a cookie.
    Acknowledges(Probe),
    /// The same to a host behind us, whose sockets can't be asked: it passes, unless it acknowledges a cookie, of which
    /// that host must see nothing.
    MayAcknowledge(Probe),
}

/// What the packet with `transport` from `source` does.
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
            Connection::Passing => Doing::Belongs,
            // Its connections are as hidden as the socket that accepted them.
            Connection::None if is_hidden(&flow, env) => Doing::Belongs,
            Connection::None => Doing::Acknowledges(probe),
        },
        (Protocol::Tcp, Locality::Protected) => Doing::MayAcknowledge(probe),
        // Nothing was answered in its name.
        (Protocol::Tcp, Locality::Foreign) => Doing::Belongs,
        (Protocol::Udp, Locality::Own) if is_lease(A::VERSION, &probe) || env.is_expected(&flow) => {
            Doing::Belongs
        }
        (Protocol::Udp, Locality::Protected | Locality::Foreign) if may_answer(&probe) => Doing::Belongs,
        (Protocol::Udp, _) => Doing::Opens(Some(probe)),
    }
}

/// Whether a datagram may answer one of a host's whose sockets can't be asked: only those from a client's port to a
/// well-known one can't.
#[inline(always)]
#[must_use]
pub const fn may_answer(probe: &Probe) -> bool {
    const WELL_KNOWN: u16 = 1024;
    probe.source_port < WELL_KNOWN || probe.port >= WELL_KNOWN
}

#[inline(always)]
const fn opens_at_once(kind: Kind) -> bool {
    matches!(kind, Kind::Syn | Kind::Fin | Kind::Null | Kind::Xmas | Kind::Unknown | Kind::Fragment)
}

/// The probe that a packet may be, or, for a segment that only ever answers, one of kind ACK with its flags.
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
