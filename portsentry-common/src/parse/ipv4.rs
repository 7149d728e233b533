//! The IPv4 header, RFC 791. It must not look past it.

use super::{Datagram, Fragment, Malformed};
use crate::{address::Ipv4, frame::Frame};

/// Offset of the source address in the header.
pub(super) const SOURCE: usize = 12;
pub(super) const DESTINATION: usize = 16;
/// "More fragments", in the word of flags and fragment offset.
const MORE: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;

#[inline(always)]
pub(super) fn datagram<F: Frame + ?Sized>(frame: &F, offset: usize) -> Result<Datagram<Ipv4>, Malformed> {
    let words = frame.read::<[u32; 5]>(offset).ok_or(Malformed::Ipv4)?;
    let first = u32::from_be(words[0]);
    let header = ((first >> 24) & 0xf) as usize * 4;
    let total = (first & 0xffff) as usize;
    if first >> 28 != 4 || header < 20 || total < header || !frame.holds(offset + total) {
        return Err(Malformed::Ipv4);
    }
    let fragment = u32::from_be(words[1]) as u16;
    let third = u32::from_be(words[2]);
    Ok(Datagram {
        destination: Ipv4::from_word(words[4]),
        protocol: (third >> 16) as u8,
        transport: offset + header,
        remaining: total - header,
        fragment: match (fragment & FRAGMENT_OFFSET, fragment & MORE) {
            (0, 0) => Fragment::Whole,
            (0, _) => Fragment::First,
            _ => Fragment::Later,
        },
        options: header > 20,
        ttl: (third >> 24) as u8,
    })
}
