//! The IPv6 header and its extension headers, RFC 8200. It must not look past them.

use super::{Datagram, Fragment, Malformed};
use crate::{
    address::Ipv6,
    frame::{Bytes, Frame},
};

/// Offset of the source address in the header.
pub(super) const SOURCE: usize = 8;
pub(super) const DESTINATION: usize = 24;
pub(super) const HEADER: usize = 40;
/// How many extension headers are walked. RFC 8200 section 4.1 recommends at most one of each of the five
/// kinds (destination options twice); a longer chain passes unread and is counted.
pub const MAX_EXTENSIONS: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

#[inline(always)]
pub(super) fn datagram<F: Frame>(frame: &F, offset: usize) -> Result<Datagram<Ipv6>, Malformed> {
    let beginning = super::beginning(frame.bytes(), offset).ok_or(Malformed::Ipv6)?;
    let destination = address(frame.bytes(), offset + DESTINATION).ok_or(Malformed::Ipv6)?;
    let payload = usize::from((beginning >> 16) as u16);
    if beginning >> 60 != 6 || !frame.holds(offset + HEADER + payload) {
        return Err(Malformed::Ipv6);
    }
    let mut datagram = Datagram {
        destination,
        protocol: (beginning >> 8) as u8,
        transport: offset + HEADER,
        remaining: payload,
        fragment: Fragment::Whole,
        options: false,
        ttl: beginning as u8,
    };
    if is_extension(datagram.protocol) {
        walk(frame.bytes(), &mut datagram)?;
    }
    Ok(datagram)
}

/// The address at `offset`. Its end is read first, so that one check of the bounds is left.
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

/// Follows the chain to the transport header, or to where a later fragment's ends.
#[inline(always)]
fn walk<B: Bytes>(packet: B, datagram: &mut Datagram<Ipv6>) -> Result<(), Malformed> {
    for _ in 0..MAX_EXTENSIONS {
        let [next, length, high, low] =
            packet.read::<[u8; 4]>(datagram.transport).ok_or(Malformed::Extensions)?;
        let length = match datagram.protocol {
            FRAGMENT => {
                let position = u16::from_be_bytes([high, low]);
                datagram.fragment = match (position >> 3, position & 1) {
                    (0, 0) => datagram.fragment,
                    (0, _) => Fragment::First,
                    _ => Fragment::Later,
                };
                8
            }
            // RFC 4302 section 2.2: in words of four octets, less two.
            AUTHENTICATION => (usize::from(length) + 2) * 4,
            _ => (usize::from(length) + 1) * 8,
        };
        datagram.options |= datagram.protocol != FRAGMENT;
        if length > datagram.remaining {
            return Err(Malformed::Extensions);
        }
        datagram.transport += length;
        datagram.remaining -= length;
        datagram.protocol = next;
        if datagram.fragment == Fragment::Later || !is_extension(next) {
            return Ok(());
        }
    }
    Err(Malformed::Extensions)
}
