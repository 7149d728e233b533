//! Reads packets that may be probes.

use core::hint::cold_path;

use crate::{
    classify::{self, Kind, Probe, Protocol, classify},
    flow::Flow,
    frame::{Bytes, Frame},
    parse::{Datagram, Fragment, IP, Link, Malformed, Plain, TCP},
};

/// A packet that may be a probe.
pub(super) type Read<A> = (Datagram<A>, Flow<A>);

/// Reads a packet that may be a probe. Returns `None` if it can't be one.
#[inline(always)]
pub(super) fn read<A: Plain, F: Frame>(frame: &F, link: &Link) -> Result<Option<Read<A>>, Malformed> {
    cold_path();
    let source = A::source(frame, link)?;
    let datagram = A::datagram(frame, link)?;
    let Some(probe) = classify(&datagram.transport(frame)?) else { return Ok(None) };
    let flow = Flow { source, destination: datagram.destination, probe };
    Ok(Some((datagram, flow)))
}

/// Reads a SYN like [`read`], with as few loads and checks as possible, if it is ordinary. Floods consist of these.
#[inline(always)]
pub(super) fn ordinary_syn<A: Plain, F: Frame>(frame: &F, link: &Link) -> Option<Read<A>> {
    if F::IS_BARE || link.is_deep {
        return None;
    }
    let packet = frame.fresh_bytes().skip(link.length - IP);
    if !A::begins(packet.read(0)?) || !A::is_tcp(A::carrier(packet)?) {
        return None;
    }
    let control = A::tcp(packet)?;
    let flags = control.flags();
    if classify::tcp(flags) != Some(Kind::Syn) || !A::is_sound_tcp(packet, control) {
        return None;
    }
    let [source_port, port] = packet.read::<[u16; 2]>(A::TRANSPORT)?.map(u16::from_be);
    let probe = Probe { protocol: Protocol::Tcp, kind: Kind::Syn, source_port, port, flags: flags.0 };
    let (source, destination) = (A::sender(packet)?, A::destination(packet)?);
    let datagram = Datagram {
        protocol: TCP,
        destination,
        transport: link.length - IP + A::TRANSPORT,
        remaining: A::length(packet)?.checked_sub(A::TRANSPORT - A::COUNTED)?,
        fragment: Fragment::Whole,
        options: false,
        ttl: A::ttl(packet)?,
    };
    Some((datagram, Flow { source, destination, probe }))
}
