//! The challenge: a SYN to a trap is answered with a cookie, and whoever acknowledges it has sent that SYN and meant
//! it (SYN cookies, RFC 4987 section 3.6).
//!
//! An RST proves nothing: a host whose address was forged sends one to every answer that it did not ask for.

#![expect(clippy::cast_possible_truncation, reason = "headers and sums are put together from parts of words")]

mod digest;
mod siphash;

use bytemuck::{Pod, Zeroable};

use self::digest::Digest;
use crate::{
    address::{Address, Ipv4, Ipv6},
    environment::Flow,
    frame::{Bytes, Rewrite, Room},
    parse::{Datagram, Fragment, Link},
};

/// A cookie is taken in the time slot in which it was made and in the next; this is a slot's length in nanoseconds
/// as a power of two: 34 seconds.
const SLOT: u32 = 35;
/// The bits of a cookie that say which key and slot it was made with.
const MARK: u32 = 0b11;
/// An odd number, by which each bit of a sequence number changes one that counts.
const SPREAD: u32 = 0x9e37_79b9;

/// The key of a cookie.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Key {
    hash: siphash::Key,
    digest: Digest,
}

impl Key {
    /// The key made of eight words, all of which are to be random.
    #[must_use]
    pub const fn new([low, high, rest @ ..]: [u64; 8]) -> Self {
        Self { hash: siphash::Key::new([low, high]), digest: Digest::new(rest) }
    }
}

/// The secrets of the cookies: two, of which one makes new cookies and both check them.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Secrets {
    /// Both keys.
    pub keys: [Key; 2],
    /// Which of them makes cookies: 0 or 1.
    pub current: u64,
}

/// An address family whose packets can be answered.
pub trait Challenged: Address {
    /// Size of the IP header without options or extensions.
    const HEADER: usize;

    /// A hash of both addresses, the ports as they stand in a segment, and a time slot.
    fn hash(flow: &Flow<Self>, key: &Key, ports: u32, slot: u64) -> u64;
    /// The sum of the pseudo-header's addresses (RFC 9293 section 3.1, RFC 8200 section 8.1), in words of wire order.
    fn sum(flow: &Flow<Self>) -> u64;
    /// Writes the IP header of an answer with a TCP header of five words and so many `more`; `false` if there is no room.
    fn write<R: Room>(room: R, offset: usize, flow: &Flow<Self>, more: u64) -> bool;
}

/// The cookie for a SYN of `flow` with these ports and the sequence number `isn`, at `now_ns` of `CLOCK_MONOTONIC`; all three
/// as they stand in segments.
#[inline(always)]
fn cookie<A: Challenged>(secrets: &Secrets, flow: &Flow<A>, ports: u32, isn: u32, now_ns: u64) -> u32 {
    make(secrets, secrets.current & 1, flow, ports, isn, now_ns >> SLOT)
}

/// Whether `cookie` was made for a SYN of `flow` with the sequence number `isn`, in this slot or the last; both as they stand
/// in segments.
#[inline(always)]
pub fn is_genuine<A: Challenged>(
    secrets: &Secrets,
    flow: &Flow<A>,
    isn: u32,
    cookie: u32,
    now_ns: u64,
) -> bool {
    let now = now_ns >> SLOT;
    let is_now = now & 1 == u64::from(cookie >> 1) & 1;
    let slot = if is_now { now } else { now.wrapping_sub(1) };
    make(secrets, u64::from(cookie & 1), flow, ports(flow), isn, slot) == cookie
}

/// Both ports, as they stand in a segment.
#[inline(always)]
fn ports<A>(flow: &Flow<A>) -> u32 {
    (u32::from(flow.probe.source_port) << 16 | u32::from(flow.probe.port)).to_be()
}

/// The sequence number is added, not hashed, as in the kernel's own cookies (`net/ipv4/syncookies.c`): who knows one
/// cookie of a connection has had it sent to him, and could have another.
#[inline(always)]
fn make<A: Challenged>(
    secrets: &Secrets,
    index: u64,
    flow: &Flow<A>,
    ports: u32,
    isn: u32,
    slot: u64,
) -> u32 {
    let key = &secrets.keys[(index & 1) as usize];
    let hash = A::hash(flow, key, ports, slot);
    let spread = isn.wrapping_mul(SPREAD);
    (hash as u32).wrapping_add(spread) & !MARK | (slot as u32 & 1) << 1 | index as u32 & 1
}

/// Whether a SYN can be answered in its own frame: all of it is there, in headers without options, behind Ethernet's.
#[inline(always)]
pub fn is_answerable<A: Challenged>(link: &Link, datagram: &Datagram<A>) -> bool {
    !link.is_deep && datagram.fragment == Fragment::Whole && datagram.transport == link.length + A::HEADER
}

/// Makes of the SYN in `frame` its own answer: SYN with ACK, and the cookie for a sequence number. The answer is
/// never longer than what was received. `false` if the frame can't be written, or isn't for a single host.
#[inline(always)]
pub fn write<A, F>(frame: &F, link: &Link, flow: &Flow<A>, secrets: &Secrets, now_ns: u64) -> bool
where
    A: Challenged,
    F: Rewrite,
{
    /// The group bit (IEEE 802) of an address that begins with this word.
    const GROUP: u32 = 0x0100_0000_u32.to_be();
    /// The fourth word of a TCP header of five words, SYN with ACK, and the largest window; and what a sixth adds.
    const BEGIN: [u32; 2] = [0x5012_ffff_u32.to_be(), 0x1000_0000_u32.to_be()];
    /// Protocol and length of the pseudo-header; and what a sixth word adds.
    const PSEUDO: [u32; 2] = [(crate::parse::TCP as u32 + 20).to_be(), 4_u32.to_be()];
    let tcp = link.length + A::HEADER;
    let size = (0x0204_0000 + 1500 - (A::HEADER as u32 + 20)).to_be();
    let (bytes, room) = (frame.bytes(), frame.room());
    // The last one first, so that one check of the bounds is left.
    let Some([ports, isn, _, control]) = bytes.read::<[u32; 4]>(tcp) else { return false };
    let (Some(to), Some(to_rest), Some(from), Some(from_rest)) =
        (bytes.read::<u32>(0), bytes.read::<u16>(4), bytes.read::<u32>(6), bytes.read::<u16>(10))
    else {
        return false;
    };
    if (to | from) & GROUP != 0 {
        return false;
    }
    // One word more offers a size, if there is room for it. A number instead of a condition, as each would be a branch.
    let [offset, ..] = control.to_ne_bytes();
    let more = (u64::from(offset & 0xf0) + 0xa0) >> 8;
    let is_begun = room.write(0, from)
        && room.write(4, from_rest)
        && room.write(6, to)
        && room.write(10, to_rest)
        && A::write(room, link.length, flow, more)
        && room.write(tcp, ports.rotate_left(16));
    let acknowledged = u32::from_be(isn).wrapping_add(1).to_be();
    let begin = BEGIN[0] + more as u32 * BEGIN[1];
    let fixed = u64::from(BEGIN[0]) + u64::from(PSEUDO[0]);
    let varying = u64::from(BEGIN[1]) + u64::from(PSEUDO[1]) + u64::from(size);
    let sum = A::sum(flow)
        + u64::from(ports)
        + u64::from(acknowledged)
        + fixed % 0xffff
        + more * (varying % 0xffff);
    let is_begun = is_begun && room.write(tcp + 8, [acknowledged, begin]);
    let cookie = cookie(secrets, flow, ports, isn, now_ns);
    let [a, b] = checksum(sum + u64::from(cookie)).to_ne_bytes();
    let is_written =
        is_begun && room.write(tcp + 4, cookie) && room.write(tcp + 16, u32::from_ne_bytes([a, b, 0, 0]));
    is_written && (more == 0 || room.write(tcp + 20, size))
}

/// The Internet checksum (RFC 1071) of a sum of less than 2^48 of words in wire order, in wire order: sums may be taken in
/// any order of the bytes.
#[inline(always)]
const fn checksum(sum: u64) -> u16 {
    // The product's upper quarter is the sum of the number's quarters, with what the same sum carries in the one below.
    !(sum.wrapping_mul(0x0001_0001_0001_0001) >> 48) as u16
}

impl Challenged for Ipv4 {
    const HEADER: usize = 20;

    #[inline(always)]
    fn hash(flow: &Flow<Self>, key: &Key, ports: u32, slot: u64) -> u64 {
        let [source, destination]: [u32; 2] = [flow.source, flow.destination].map(bytemuck::cast);
        key.hash
            .begin(u64::from(source) << 32 | u64::from(destination))
            .finish(1, slot << 32 | u64::from(ports))
    }

    #[inline(always)]
    fn sum(flow: &Flow<Self>) -> u64 {
        let [source, destination]: [u32; 2] = [flow.source, flow.destination].map(bytemuck::cast);
        u64::from(source) + u64::from(destination)
    }

    #[inline(always)]
    fn write<R: Room>(room: R, offset: usize, flow: &Flow<Self>, more: u64) -> bool {
        const FIRST: u32 = 0x4500_0028_u32.to_be();
        const MORE: u32 = 4_u32.to_be();
        const DONT_FRAGMENT: u32 = 0x4000_u32.to_be();
        const LIVES: [u8; 2] = [64, crate::parse::TCP];
        const FIXED: u64 =
            FIRST as u64 + DONT_FRAGMENT as u64 + u32::from_ne_bytes([LIVES[0], LIVES[1], 0, 0]) as u64;
        let more = more as u32 * MORE;
        let [a, b] = checksum(FIXED % 0xffff + u64::from(more) + Self::sum(flow)).to_ne_bytes();
        let third = u32::from_ne_bytes([LIVES[0], LIVES[1], a, b]);
        let [source, destination]: [u32; 2] = [flow.source, flow.destination].map(bytemuck::cast);
        room.write(offset, [FIRST + more, DONT_FRAGMENT, third, destination, source])
    }
}

impl Challenged for Ipv6 {
    const HEADER: usize = 40;

    /// The source is hashed as it is, and of the rest a digest, as each word costs 34 instructions. Who could find two ends with
    /// one digest would have found two for which his own address has the same cookies, and learn of nobody else's.
    #[inline(always)]
    fn hash(flow: &Flow<Self>, key: &Key, ports: u32, slot: u64) -> u64 {
        let ([a, b], [c, d]) = (flow.source.halves(), flow.destination.halves());
        let [high, low] = [c, d].map(|half| [half as u32, (half >> 32) as u32]);
        let rest = key.digest.of([high, low, [ports, slot as u32]]);
        key.hash.begin(a).absorb(b).finish(2, rest.into())
    }

    #[inline(always)]
    fn sum(flow: &Flow<Self>) -> u64 {
        let mut sum = 0;
        for word in flow.source.words() {
            sum += u64::from(word);
        }
        for word in flow.destination.words() {
            sum += u64::from(word);
        }
        sum
    }

    #[inline(always)]
    fn write<R: Room>(room: R, offset: usize, flow: &Flow<Self>, more: u64) -> bool {
        const SECOND: u32 = (20 << 16 | (crate::parse::TCP as u32) << 8 | 64_u32).to_be();
        const MORE: u32 = (4_u32 << 16).to_be();
        let ([a, b], [c, d]) = (flow.destination.halves(), flow.source.halves());
        room.write(offset, [0x6000_0000_u32.to_be(), SECOND + more as u32 * MORE])
            && room.write(offset + 8, [a, b, c, d])
    }
}

#[cfg(test)]
mod tests;
