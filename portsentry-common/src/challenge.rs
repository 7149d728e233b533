//! The challenge: the program answers a SYN to a trap with a cookie, and an acknowledgement of it proves that the
//! source sent that SYN and received the answer (SYN cookies, RFC 4987 section 3.6).
//!
//! An RST proves nothing: a host whose address is spoofed sends one to every answer that it didn't ask for.

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

/// Length of a time slot in nanoseconds, as a power of two: 34 seconds. A cookie is valid in its slot and in the
/// next.
const SLOT: u32 = 35;
/// The bits of a cookie that name its key and slot.
const MARK: u32 = 0b11;
/// An odd multiplier that spreads each bit of a sequence number over the bits that count.
const SPREAD: u32 = 0x9e37_79b9;

/// The key of a cookie.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Key {
    hash: siphash::Key,
    digest: Digest,
}

impl Key {
    /// Builds the key from eight words, all of which must be random.
    #[must_use]
    pub const fn new([low, high, rest @ ..]: [u64; 8]) -> Self {
        Self { hash: siphash::Key::new([low, high]), digest: Digest::new(rest) }
    }
}

/// The two keys of the cookies: one makes new cookies, both check them.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Secrets {
    /// Both keys.
    pub keys: [Key; 2],
    /// Index of the key that makes cookies: 0 or 1.
    pub current: u64,
}

/// An address family whose packets can be answered.
pub trait Challenged: Address {
    /// Size of the IP header without options or extensions.
    const HEADER: usize;

    /// Returns a hash of both addresses, the ports as they stand in a segment, and a time slot.
    fn hash(flow: &Flow<Self>, key: &Key, ports: u32, slot: u64) -> u64;
    /// Returns the sum of the pseudo-header's addresses (RFC 9293 section 3.1, RFC 8200 section 8.1), in words of
    /// wire order.
    fn sum(flow: &Flow<Self>) -> u64;
    /// Writes the IP header of an answer whose TCP header has five words and `more`; `false` if there is no room.
    fn write<R: Room>(room: R, offset: usize, flow: &Flow<Self>, more: u64) -> bool;
}

/// Returns the cookie for a SYN of `flow` with these ports and the sequence number `isn`, at `now_ns` of
/// `CLOCK_MONOTONIC`; ports, number and cookie as they stand in segments.
#[inline(always)]
fn cookie<A: Challenged>(secrets: &Secrets, flow: &Flow<A>, ports: u32, isn: u32, now_ns: u64) -> u32 {
    make(secrets, secrets.current & 1, flow, ports, isn, now_ns >> SLOT)
}

/// Whether `cookie` was made for a SYN of `flow` with the sequence number `isn`, in this slot or the last; both as
/// they stand in segments.
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

/// Returns both ports, as they stand in a segment.
#[inline(always)]
fn ports<A>(flow: &Flow<A>) -> u32 {
    (u32::from(flow.probe.source_port) << 16 | u32::from(flow.probe.port)).to_be()
}

/// The sequence number is added, not hashed, as in the kernel's own cookies (`net/ipv4/syncookies.c`): a host that
/// knows one cookie of a connection has received it, and could request another.
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

/// Whether a SYN can be answered in its own frame: it is complete, its headers have no options, and the link layer is
/// Ethernet.
#[inline(always)]
pub fn is_answerable<A: Challenged>(link: &Link, datagram: &Datagram<A>) -> bool {
    !link.is_deep && datagram.fragment == Fragment::Whole && datagram.transport == link.length + A::HEADER
}

/// Rewrites the SYN in `frame` into its answer: SYN with ACK, and the cookie as sequence number. The answer is never
/// longer than the SYN. Returns `false` if the frame can't be written, or is not addressed to a single host.
#[inline(always)]
pub fn write<A, F>(frame: &F, link: &Link, flow: &Flow<A>, secrets: &Secrets, now_ns: u64) -> bool
where
    A: Challenged,
    F: Rewrite,
{
    /// The group bit (IEEE 802) of an address that begins with this word.
    const GROUP: u32 = 0x0100_0000_u32.to_be();
    /// The fourth word of a TCP header of five words: SYN with ACK, and the largest window; and the addend for a
    /// sixth word.
    const BEGIN: [u32; 2] = [0x5012_ffff_u32.to_be(), 0x1000_0000_u32.to_be()];
    /// Protocol and length of the pseudo-header; and the addend for a sixth word.
    const PSEUDO: [u32; 2] = [(crate::parse::TCP as u32 + 20).to_be(), 4_u32.to_be()];
    let tcp = link.length + A::HEADER;
    let size = (0x0204_0000 + 1500 - (A::HEADER as u32 + 20)).to_be();
    let (bytes, room) = (frame.bytes(), frame.room());
    // The last word is read first, so that a single bounds check remains.
    let Some([ports, isn, _, control]) = bytes.read::<[u32; 4]>(tcp) else { return false };
    let (Some(to), Some(to_rest), Some(from), Some(from_rest)) =
        (bytes.read::<u32>(0), bytes.read::<u16>(4), bytes.read::<u32>(6), bytes.read::<u16>(10))
    else {
        return false;
    };
    if (to | from) & GROUP != 0 {
        return false;
    }
    // A sixth word offers a segment size, if the SYN has room for it. Computed without a condition, because each
    // would be a branch.
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

/// Returns the Internet checksum (RFC 1071) of a sum below 2^48 of words in wire order, in wire order: the sum
/// doesn't depend on the byte order.
#[inline(always)]
const fn checksum(sum: u64) -> u16 {
    // The upper quarter of the product is the sum of the number's quarters, plus the carry of that sum in the quarter
    // below.
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

    /// The source is hashed as it is; destination, ports and slot as a digest, because each word costs 34
    /// instructions. A source that found two destinations with the same digest would learn only that its own cookies
    /// are equal there, and nothing about another source's.
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
