//! The challenge: a SYN to a trap is answered with a cookie, and whoever acknowledges it has sent that SYN and
//! meant it (SYN cookies, RFC 4987 section 3.6). It must not keep state, nor judge who is challenged.
//!
//! An RST proves nothing: a host whose address was forged sends one to every answer that it did not ask for.

#![expect(clippy::cast_possible_truncation, reason = "headers and sums are put together from parts of words")]

use bytemuck::{Pod, Zeroable};

use crate::{
    address::{Address, Ipv4, Ipv6},
    frame::{Bytes, Rewrite},
    parse::{Datagram, Fragment, Link},
    world::Flow,
};

/// A cookie is taken in the time slot in which it was made and in the next; this is a slot's length in nanoseconds
/// as a power of two: 34 seconds.
const SLOT: u32 = 35;
/// The bits of a cookie that say which key and slot it was made with.
const MARK: u32 = 0b11;
/// An odd number, by which each bit of a sequence number changes one that counts.
const SPREAD: u32 = 0x9e37_79b9;
/// The size of a TCP header that offers a maximum segment size, and of one that doesn't.
const HEADER: [usize; 2] = [24, 20];

/// The secrets of the cookies: two, of which one makes new cookies and both check them.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Secrets {
    /// The hashes as they begin with each key, which spares making them from it.
    pub keys: [SipHash; 2],
    /// Which of them makes cookies: 0 or 1.
    pub current: u64,
}

/// An address family whose packets can be answered.
pub trait Challenged: Address {
    /// Size of the IP header without options or extensions.
    const HEADER: usize;

    /// How many words of the hash both addresses are.
    const WORDS: u64;

    /// Both addresses into the hash.
    fn absorb(flow: &Flow<Self>, hash: SipHash) -> SipHash;
    /// The sum of the pseudo-header's addresses (RFC 9293 section 3.1, RFC 8200 section 8.1), in words of wire order.
    fn sum(flow: &Flow<Self>) -> u64;
    /// Writes the IP header of an answer with a TCP header of `length` bytes; `false` if the frame is too short.
    fn write<F: Rewrite>(frame: &F, offset: usize, flow: &Flow<Self>, length: usize) -> bool;
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
    let hash = if index == 0 { secrets.keys[0] } else { secrets.keys[1] };
    let hash = A::absorb(flow, hash).finish(A::WORDS, slot << 32 | u64::from(ports));
    let spread = isn.wrapping_mul(SPREAD);
    (hash as u32).wrapping_add(spread) & !MARK | (slot as u32 & 1) << 1 | index as u32 & 1
}

/// Whether a SYN can be answered in its own frame: all of it is there, in headers without options.
#[inline(always)]
pub fn is_answerable<A: Challenged>(link: &Link, datagram: &Datagram<A>) -> bool {
    datagram.fragment == Fragment::Whole && datagram.transport == link.length + A::HEADER
}

/// Makes of the SYN in `frame` its own answer: SYN with ACK, and the cookie for a sequence number. The answer is
/// never longer than what was received. `false` if the frame can't be written, or isn't for a single host.
#[inline(always)]
pub fn write<A, F>(frame: &F, link: &Link, flow: &Flow<A>, secrets: &Secrets, now_ns: u64) -> bool
where
    A: Challenged,
    F: Rewrite,
{
    /// The group bit (IEEE 802) of an address that begins with this half of a word.
    const GROUP: u16 = 0x0100_u16.to_be();
    let tcp = link.length + A::HEADER;
    // The later one first, so that one check of the bounds is left.
    let Some(received) = frame.bytes().read::<[u32; 4]>(tcp) else { return false };
    let Some([to, from]) = frame.bytes().read::<[[u16; 3]; 2]>(0) else { return false };
    if (to[0] | from[0]) & GROUP != 0 {
        return false;
    }
    // Four more bytes offer a size, if there is room for them.
    let offers_size = u32::from_be(received[3]) >> 28 >= 6;
    let (length, begin, size) = if offers_size {
        (HEADER[0], BEGIN[0], (0x0204_0000 + 1500 - (A::HEADER as u32 + 20)).to_be())
    } else {
        (HEADER[1], BEGIN[1], 0)
    };
    let isn = received[1];
    let mut words = [
        received[0].rotate_left(16),
        cookie(secrets, flow, received[0], isn, now_ns),
        u32::from_be(isn).wrapping_add(1).to_be(),
        begin,
        0,
    ];
    let mut sum = A::sum(flow) + u64::from((u32::from(crate::parse::TCP) + length as u32).to_be());
    for word in words {
        sum += u64::from(word);
    }
    words[4] = checksum(sum + u64::from(size));
    let is_written =
        A::write(frame, link.length, flow, length) && frame.write(0, [from, to]) && frame.write(tcp, words);
    is_written && (!offers_size || frame.write(tcp + 20, size))
}

/// The fourth word of an answer's TCP header, with and without the offer of a size: its length, SYN with ACK, and the
/// largest window.
const BEGIN: [u32; 2] = [0x6012_ffff_u32.to_be(), 0x5012_ffff_u32.to_be()];

/// The Internet checksum (RFC 1071) of a sum of less than 2^40 of words in wire order, as it stands in the upper half of
/// such a word: sums may be taken in any order of the bytes.
#[inline(always)]
const fn checksum(sum: u64) -> u32 {
    // Below 2^25, below 2^17, and no more than a half.
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    u32::from_ne_bytes(upper(!(sum as u16)))
}

/// The bytes of `half` in the first two of four.
#[inline(always)]
const fn upper(half: u16) -> [u8; 4] {
    let [a, b] = half.to_ne_bytes();
    [a, b, 0, 0]
}

impl Challenged for Ipv4 {
    const HEADER: usize = 20;
    const WORDS: u64 = 1;

    #[inline(always)]
    fn absorb(flow: &Flow<Self>, hash: SipHash) -> SipHash {
        let [source, destination]: [u32; 2] = [flow.source, flow.destination].map(bytemuck::cast);
        hash.absorb(u64::from(source) << 32 | u64::from(destination))
    }

    #[inline(always)]
    fn sum(flow: &Flow<Self>) -> u64 {
        let [source, destination]: [u32; 2] = [flow.source, flow.destination].map(bytemuck::cast);
        u64::from(source) + u64::from(destination)
    }

    #[inline(always)]
    fn write<F: Rewrite>(frame: &F, offset: usize, flow: &Flow<Self>, length: usize) -> bool {
        const DONT_FRAGMENT: u32 = 0x4000_u32.to_be();
        const LIVES_LONG: u32 = (64 << 24 | (crate::parse::TCP as u32) << 16).to_be();
        let first = (0x4500 << 16 | (Self::HEADER + length) as u32).to_be();
        let sum = u64::from(first) + u64::from(DONT_FRAGMENT) + u64::from(LIVES_LONG) + Self::sum(flow);
        // The checksum is in the lower half of its word.
        let third = LIVES_LONG | checksum(sum).rotate_right(16);
        let [source, destination]: [u32; 2] = [flow.source, flow.destination].map(bytemuck::cast);
        frame.write(offset, [first, DONT_FRAGMENT, third, destination, source])
    }
}

impl Challenged for Ipv6 {
    const HEADER: usize = 40;
    const WORDS: u64 = 4;

    #[inline(always)]
    fn absorb(flow: &Flow<Self>, hash: SipHash) -> SipHash {
        let [[a, b], [c, d]] = [flow.source, flow.destination].map(bytemuck::cast);
        hash.absorb(a).absorb(b).absorb(c).absorb(d)
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
    fn write<F: Rewrite>(frame: &F, offset: usize, flow: &Flow<Self>, length: usize) -> bool {
        let words = [0x6000_0000, (length as u32) << 16 | u32::from(crate::parse::TCP) << 8 | 64];
        let ([a, b], [c, d]) = (flow.destination.halves(), flow.source.halves());
        frame.write(offset + 8, [a, b, c, d]) && frame.write(offset, words.map(u32::to_be))
    }
}

/// SipHash-1-3 of whole words (Aumasson and Bernstein, 2012), as the kernel uses it for its own SYN cookies.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct SipHash {
    state: [u64; 4],
}

impl SipHash {
    /// Begins with a key.
    #[inline(always)]
    #[must_use]
    pub const fn new([low, high]: [u64; 2]) -> Self {
        let state = [
            low ^ 0x736f_6d65_7073_6575,
            high ^ 0x646f_7261_6e64_6f6d,
            low ^ 0x6c79_6765_6e65_7261,
            high ^ 0x7465_6462_7974_6573,
        ];
        Self { state }
    }

    /// Takes in eight bytes, little-endian.
    #[inline(always)]
    #[must_use]
    pub const fn absorb(mut self, word: u64) -> Self {
        self.state[3] ^= word;
        self = self.round();
        self.state[0] ^= word;
        self
    }

    /// The hash of so many `words` that were taken in, and of the lower seven bytes of `tail`, little-endian: the last block
    /// has room for those beside the length.
    #[inline(always)]
    #[must_use]
    pub const fn finish(self, words: u64, tail: u64) -> u64 {
        let end = (8 * words + 7) << 56 | tail << 8 >> 8;
        let mut hash = self.absorb(end);
        hash.state[2] ^= 0xff;
        let [a, b, c, d] = hash.round().round().round().state;
        a ^ b ^ c ^ d
    }

    #[inline(always)]
    const fn round(self) -> Self {
        let [mut a, mut b, mut c, mut d] = self.state;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        Self { state: [a, b, c, d] }
    }
}

#[cfg(test)]
mod tests;
