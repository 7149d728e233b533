//! A SYN as a whole: whether it is of the make that is answered, whether its checksums are right, and what of it a service
//! gets. It must not judge where it goes.
//!
//! A fenced source's SYN is answered alike whether or not its port is served. So nothing of it may reach a service that an
//! answer of the program's own doesn't take into account: that answer offers a maximum segment size, and nothing else.

use crate::{
    address::Address,
    challenge::{Challenged, fold},
    environment::Flow,
    frame::{Bytes, Room},
    parse::{IP, Link, Plain, TcpFlags},
};

/// Words of a TCP header without options, and of the longest.
const LEAST: usize = 5;
const MOST: usize = 15;
/// Where the words with the control bits and with the checksum stand.
const CONTROL: usize = 3;
const CHECKSUM: usize = 4;
/// Room for the longest header of an answer, in bytes.
const ANSWER: usize = 24;
/// Four options without effect (RFC 9293 section 3.2).
const NOTHING: u32 = 0x0101_0101;
/// The first half of a maximum segment size (kind 2, four bytes).
const SIZE: u32 = 0x0204;

/// Where a SYN has its TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Its offset in the frame, in bytes.
    pub tcp: usize,
    /// Its length, in words.
    pub words: usize,
}

/// The TCP header of the SYN behind `link`; `None` unless the SYN is of the make that every stack sends: behind Ethernet's
/// header and two VLAN tags at most, in an IP header without options, not a fragment, without data. A frame without room for
/// the longest answer isn't answered either, as an answer is never longer than what it answers.
#[inline(always)]
pub fn shape<A: Plain, B: Bytes>(bytes: B, link: &Link) -> Option<Shape> {
    if link.is_deep || link.length < IP {
        return None;
    }
    let packet = bytes.skip(link.length - IP);
    let is_plain = A::begins(packet.read(0)?) && A::is_tcp(A::carrier(packet)?);
    let header = A::tcp(packet)?.header();
    let is_right = is_plain && header >= LEAST * 4 && A::is_sound(packet, |payload| payload == header);
    let tcp = link.length - IP + A::TRANSPORT;
    (is_right && bytes.reaches(tcp + ANSWER)).then_some(Shape { tcp, words: header / 4 })
}

/// What the sums of a SYN's words say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sums {
    /// Whether the checksum is that of the whole segment.
    pub is_right: bool,
    /// Whether it is one that a network card was to complete: that of the pseudo-header alone. The peers of virtual
    /// interfaces send such segments.
    pub is_partial: bool,
    /// The checksum once the segment is flattened, in wire order.
    flat: u16,
}

/// The sums of the segment of `flow` in `shape`, and what becomes of its checksum if it is flattened; `None` if the frame ends before.
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
    let right = fold(sum) == 0xffff;
    // RFC 1624, equation 3.
    let flat = !fold(u64::from(!checksum) + change);
    Some(Sums { is_right: right, is_partial: checksum == fold(pseudo), flat })
}

/// Takes out of the SYN in `shape` what an answer of the program's own takes no account of: all options but a maximum segment
/// size that comes first, explicit congestion notification, and reserved bits. `false` if it can't be written.
#[inline(always)]
pub fn flatten<B: Bytes, R: Room>(bytes: B, room: R, shape: Shape, sums: &Sums) -> bool {
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
    room.write(tcp + CHECKSUM * 4, sums.flat)
}

/// What becomes of a word of the TCP header, in wire order.
#[inline(always)]
const fn flat(word: usize, old: u32) -> u32 {
    /// Of the fourth word: the header's length, and the window.
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

/// Whether the IP header behind `link` has the right checksum; IPv6's has none.
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
