//! The IPv4 header, RFC 791.

use super::{
    Datagram, Fragment, Link, Malformed,
    header::{beginning, near, oversize},
};
use crate::{
    address::Ipv4,
    frame::{Bytes, Frame},
};

/// Offset of the source address in the header.
pub(super) const SOURCE: usize = 12;
pub(super) const DESTINATION: usize = 16;
/// Length of a header without options, in bytes.
pub(super) const LEAST: usize = 20;
/// "More fragments", in the word of flags and fragment offset.
const MORE: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;

#[inline(always)]
pub(super) fn datagram<F: Frame>(frame: &F, link: &Link) -> Result<Datagram<Ipv4>, Malformed> {
    let offset = link.length;
    let near = near(frame, link).and_then(|packet| header(packet, offset));
    let header = near.or_else(|| header(frame.far(), offset));
    let (beginning, third, destination) = header.ok_or(Malformed::Ipv4)?;
    let header = ((beginning >> 56) & 0xf) as usize * 4;
    if beginning >> 60 != 4 || header < LEAST {
        return Err(Malformed::Ipv4);
    }
    let total = match usize::from((beginning >> 32) as u16) {
        0 => oversize(frame, offset).ok_or(Malformed::Ipv4)?,
        total if frame.holds(offset + total) => total,
        _ => return Err(Malformed::Ipv4),
    };
    if total < header {
        return Err(Malformed::Ipv4);
    }
    let fragment = beginning as u16;
    let third = u32::from_be(third);
    Ok(Datagram {
        destination: Ipv4::from_word(destination),
        protocol: (third >> 16) as u8,
        transport: offset + header,
        remaining: total - header,
        fragment: match (fragment & FRAGMENT_OFFSET, fragment & MORE) {
            (0, 0) => Fragment::Whole,
            (0, _) => Fragment::First,
            _ => Fragment::Later,
        },
        options: header > LEAST,
        ttl: (third >> 24) as u8,
    })
}

/// Returns the header's first eight bytes in host byte order, its third word, and the word of the destination.
#[inline(always)]
fn header<B: Bytes>(packet: B, offset: usize) -> Option<(u64, u32, u32)> {
    let [third, _, destination] = packet.read::<[u32; 3]>(offset + 8)?;
    Some((beginning(packet, offset)?, third, destination))
}
