//! The IPv6 header and its extension headers, RFC 8200.

use core::hint::cold_path;

use super::{
    Chain, Datagram, Fragment, Link, Malformed,
    header::{beginning, near, oversize},
};
use crate::{
    address::Ipv6,
    frame::{Bytes, Frame},
};

/// Offset of the source address in the header.
pub(super) const SOURCE: usize = 8;
pub(super) const DESTINATION: usize = 24;
pub(super) const HEADER: usize = 40;

pub(super) const HOP_BY_HOP: u8 = 0;
pub(super) const ROUTING: u8 = 43;
pub(super) const FRAGMENT: u8 = 44;
pub(super) const AUTHENTICATION: u8 = 51;
pub(super) const DESTINATION_OPTIONS: u8 = 60;

#[inline(always)]
pub(super) fn datagram<F: Frame>(frame: &F, link: &Link) -> Result<Datagram<Ipv6>, Malformed> {
    let offset = link.length;
    let near = near(frame, link).and_then(|packet| header(packet, offset));
    let header = near.or_else(|| header(frame.far(), offset));
    let (beginning, destination) = header.ok_or(Malformed::Ipv6)?;
    let protocol = (beginning >> 8) as u8;
    let transport = offset + HEADER;
    if beginning >> 60 != 6 {
        return Err(Malformed::Ipv6);
    }
    let payload = match usize::from((beginning >> 16) as u16) {
        0 => unsaid(frame, transport, protocol),
        payload if frame.holds(transport + payload) => payload,
        _ => return Err(Malformed::Ipv6),
    };
    let datagram = Datagram {
        destination,
        protocol,
        transport,
        remaining: payload,
        fragment: Fragment::Whole,
        options: false,
        ttl: beginning as u8,
    };
    if !is_extension(protocol) {
        return Ok(datagram);
    }
    cold_path();
    let end = transport + payload;
    let chain = frame.follow(Chain::new(protocol, transport), end);
    Ok(Datagram {
        protocol: chain.protocol(),
        transport: chain.offset(),
        remaining: end.saturating_sub(chain.offset()),
        fragment: chain.fragment(),
        options: chain.has_options(),
        ..datagram
    })
}

/// Returns the length of a payload whose length field is 0. Behind a hop-by-hop header it is the rest of the frame;
/// Linux accepts that with or without a jumbo payload option (RFC 2675; `ip6_rcv_core`).
#[cold]
#[inline(always)]
fn unsaid<F: Frame>(frame: &F, offset: usize, protocol: u8) -> usize {
    if protocol == HOP_BY_HOP {
        frame.length().saturating_sub(offset)
    } else {
        oversize(frame, offset).unwrap_or(0)
    }
}

/// Returns the header's first eight bytes in host byte order, and the destination.
#[inline(always)]
fn header<B: Bytes>(packet: B, offset: usize) -> Option<(u64, Ipv6)> {
    let destination = address(packet, offset + DESTINATION)?;
    Some((beginning(packet, offset)?, destination))
}

/// Returns the address at `offset`. Its end is read first, so that a single bounds check remains.
#[inline(always)]
pub(super) fn address<B: Bytes>(packet: B, offset: usize) -> Option<Ipv6> {
    let low = packet.read(offset + 8)?;
    let high = packet.read(offset)?;
    Some(Ipv6::from_halves([high, low]))
}

#[inline(always)]
pub(super) fn is_extension(next: u8) -> bool {
    matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS)
}
