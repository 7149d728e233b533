//! Checks the form and checksums of a SYN, and removes options before a service receives it.
//!
//! A fenced source's SYN must get the same answer from served and unserved ports. The program's own answer offers
//! only a maximum segment size. Therefore a service must not receive any option to which its answer would differ.

use crate::{
    address::Address,
    challenge::{Challenged, fold},
    flow::Flow,
    frame::{Bytes, Room},
    parse::{IP, Link, Plain, TcpFlags},
};

/// Number of words in a TCP header without options.
pub const LEAST: usize = 5;
/// The same with room for a maximum segment size.
pub const WITH_SIZE: usize = 6;
/// The same in the longest TCP header.
const MOST: usize = 15;
/// Indices of the words with the control bits and with the checksum.
const CONTROL: usize = 3;
const CHECKSUM: usize = 4;
/// Four options without effect (RFC 9293 section 3.2).
const NOTHING: u32 = 0x0101_0101;
/// The first half of a maximum segment size (kind 2, four bytes).
const SIZE: u32 = 0x0204;

/// The position of a SYN's TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Its offset in the frame, in bytes.
    pub tcp: usize,
    /// Its length, in words.
    pub words: usize,
}

/// Returns the position of the TCP header behind `link`. Returns `None` unless the SYN has the form that every
/// stack sends: Ethernet with at most two VLAN tags, an IP header without options, no fragment, and no data. Also
/// returns `None` if its TCP header has fewer than `least` words, because an answer is never longer than its SYN.
#[inline(always)]
pub fn shape<A: Plain, B: Bytes>(bytes: B, link: &Link, least: usize) -> Option<Shape> {
    if link.is_deep || link.length < IP {
        return None;
    }
    let packet = bytes.skip(link.length - IP);
    let is_plain = A::begins(packet.read(0)?) && A::is_tcp(A::carrier(packet)?);
    let header = A::tcp(packet)?.header();
    let is_right = is_plain && header >= least * 4 && A::is_sound(packet, |payload| payload == header);
    is_right.then_some(Shape { tcp: link.length - IP + A::TRANSPORT, words: header / 4 })
}

/// The checksums of a SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sums {
    /// Whether the checksum covers the whole segment correctly.
    pub is_right: bool,
    /// Whether the checksum covers only the pseudo-header, because a network card was to complete it. The peers of
    /// virtual interfaces send such segments.
    pub is_partial: bool,
    /// The checksum of the flattened segment, in wire order; complete, even if the SYN's is partial.
    flat: u16,
    /// The SYN's own checksum, in wire order.
    checksum: u16,
}

/// Checks the segment of `flow` in `shape`, and computes its checksum when flattened. Returns `None` if the frame
/// ends before.
#[inline(always)]
pub fn sums<A: Challenged, B: Bytes>(bytes: B, shape: Shape, flow: &Flow<A>) -> Option<Sums> {
    let Shape { tcp, words } = shape;
    let length = u32::try_from(words * 4).unwrap_or_default();
    let pseudo = A::sum(flow) + u64::from((u32::from(crate::parse::TCP) + length).to_be());
    let (mut sum, mut change) = (pseudo, 0_u64);
    for word in 0..MOST {
        if word >= words {
            break;
        }
        let old = bytes.read::<u32>(tcp + word * 4)?;
        sum += u64::from(old);
        change += u64::from(!old) + u64::from(flat(word, old));
    }
    let [checksum, _] = bytes.read::<[u16; 2]>(tcp + CHECKSUM * 4)?;
    let is_partial = checksum == fold(pseudo);
    // RFC 1624, equation 3. Adding the sum completes a partial checksum.
    let missing = if is_partial { sum } else { 0 };
    let flat = !fold(u64::from(!checksum) + change + missing);
    Some(Sums { is_right: fold(sum) == 0xffff, is_partial, flat, checksum })
}

/// Removes the parts of the SYN in `shape` that the program's own answer ignores: all options except a maximum
/// segment size that comes first, explicit congestion notification, and reserved bits. Returns `false` if it can't
/// be written. A partial checksum is completed on request; a SYN for another host must keep it.
#[inline(always)]
pub fn flatten<B: Bytes, R: Room>(bytes: B, room: R, shape: Shape, sums: &Sums, completes: bool) -> bool {
    let Shape { tcp, words } = shape;
    for word in CONTROL..MOST {
        if word >= words {
            break;
        }
        let at = tcp + word * 4;
        let Some(old) = bytes.read::<u32>(at) else { return false };
        if !room.write(at, flat(word, old)) {
            return false;
        }
    }
    let stays = sums.is_partial && !completes;
    room.write(tcp + CHECKSUM * 4, if stays { sums.checksum } else { sums.flat })
}

/// Returns the flattened form of a word of the TCP header, in wire order.
#[inline(always)]
const fn flat(word: usize, old: u32) -> u32 {
    /// The bits of the fourth word that stay: the header's length, and the window.
    const KEPT: u32 = 0xf000_ffff;
    const SYN: u32 = (TcpFlags::SYN as u32) << 16;
    let host = u32::from_be(old);
    match word {
        CONTROL => (host & KEPT | SYN).to_be(),
        LEAST if host >> 16 == SIZE => old,
        LEAST.. => NOTHING,
        _ => old,
    }
}

/// Whether the IP header behind `link` has the right checksum. IPv6 headers have none.
#[inline(always)]
pub fn is_header_right<A: Address, B: Bytes>(bytes: B, link: &Link) -> bool {
    if A::VERSION == 6 {
        return true;
    }
    let Some(words) = bytes.read::<[u32; 5]>(link.length) else { return false };
    let mut sum = 0;
    for word in words {
        sum += u64::from(word);
    }
    fold(sum) == 0xffff
}

#[cfg(test)]
mod tests;
