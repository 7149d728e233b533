//! The challenge: the program answers a SYN to a trap with a cookie. An acknowledgement of the cookie proves that
//! the source sent that SYN and received the answer (SYN cookies, RFC 4987 section 3.6).
//!
//! An RST proves nothing: a host whose address is spoofed answers every unexpected packet with one.

#![expect(clippy::cast_possible_truncation, reason = "headers and sums are composed of parts of words")]

mod digest;
mod siphash;

use bytemuck::{Pod, Zeroable};

use self::digest::Digest;
use crate::{
    address::{Address, Ipv4, Ipv6},
    flow::Flow,
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

/// The two keys of the cookies. One makes new cookies, both check them.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Secrets {
    /// Both keys.
    pub keys: [Key; 2],
    /// Index of the key that makes new cookies: 0 or 1.
    pub current: u64,
}

/// Constant fields of the network stack's answers from this host. The program uses the same values in its own
/// answers.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Constants {
    /// The window of a SYN-ACK over IPv4, if the SYN had no option other than a maximum segment size.
    pub window_v4: u16,
    /// The maximum segment size of that SYN-ACK.
    pub mss_v4: u16,
    /// The window over IPv6.
    pub window_v6: u16,
    /// The maximum segment size over IPv6.
    pub mss_v6: u16,
    /// IPv4's time to live.
    pub ttl: u8,
    /// IPv6's hop limit.
    pub hop_limit: u8,
    /// Always 0.
    pub reserved: [u8; 2],
}

const _: () = assert!(size_of::<Constants>() == 12);

/// Number of slots for [`NearConstants`].
pub const NEAR_INTERFACES: usize = 64;

/// The constant fields of one interface, in the slot of its index modulo [`NEAR_INTERFACES`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct NearConstants {
    /// The interface's index, or 0 if the slot is empty.
    pub interface: u32,
    /// Its constants.
    pub constants: Constants,
}

impl Constants {
    /// Linux's default values on Ethernet.
    pub const USUAL: Self = Self {
        window_v4: 64_240,
        mss_v4: 1460,
        window_v6: 64_800,
        mss_v6: 1440,
        ttl: 64,
        hop_limit: 64,
        reserved: [0; 2],
    };

    /// Returns the window and maximum segment size of that IP version.
    #[inline(always)]
    const fn tcp(&self, version: u8) -> (u16, u16) {
        if version == 4 { (self.window_v4, self.mss_v4) } else { (self.window_v6, self.mss_v6) }
    }
}

/// An address family whose packets can be answered.
pub trait Challenged: Address {
    /// Size of the IP header without options or extensions.
    const HEADER: usize;

    /// Returns a hash of both addresses, the ports as in a segment, and a time slot.
    fn hash(flow: &Flow<Self>, key: &Key, ports: u32, slot: u64) -> u64;
    /// Returns the destination in the IP header at `offset` bytes of the frame.
    fn destination_at<F: crate::frame::Frame>(frame: &F, offset: usize) -> Option<Self>;
    /// Returns the sum of the pseudo-header's addresses (RFC 9293 section 3.1, RFC 8200 section 8.1) in words of
    /// wire order.
    fn sum(flow: &Flow<Self>) -> u64;
    /// Writes the IP header of an answer whose TCP header has five words plus `more`. Returns `false` if there is
    /// no room. `label` is random.
    fn write<R: Room>(
        room: R,
        offset: usize,
        flow: &Flow<Self>,
        more: u64,
        label: u32,
        constants: &Constants,
    ) -> bool;
}

/// Returns the cookie for a SYN of `flow` with these ports and the sequence number `isn`, at `now_ns` of
/// `CLOCK_MONOTONIC`. Ports, number and cookie are in wire order. The second number is as random as the cookie, and
/// independent of it.
#[inline(always)]
fn cookie<A: Challenged>(secrets: &Secrets, flow: &Flow<A>, ports: u32, isn: u32, now_ns: u64) -> (u32, u32) {
    make(secrets, secrets.current & 1, flow, ports, isn, now_ns >> SLOT)
}

/// Whether `cookie` was made for a SYN of `flow` with the sequence number `isn`, in this slot or the previous one.
/// Both numbers are in wire order.
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
    make(secrets, u64::from(cookie & 1), flow, ports(flow), isn, slot).0 == cookie
}

/// Returns both ports in wire order.
#[inline(always)]
fn ports<A>(flow: &Flow<A>) -> u32 {
    (u32::from(flow.probe.source_port) << 16 | u32::from(flow.probe.port)).to_be()
}

/// The sequence number is added rather than hashed, as in the kernel's own cookies (`net/ipv4/syncookies.c`). A
/// host that knows one cookie of a connection has received it, and could request another.
#[inline(always)]
fn make<A: Challenged>(
    secrets: &Secrets,
    index: u64,
    flow: &Flow<A>,
    ports: u32,
    isn: u32,
    slot: u64,
) -> (u32, u32) {
    let key = &secrets.keys[(index & 1) as usize];
    let hash = A::hash(flow, key, ports, slot);
    let spread = isn.wrapping_mul(SPREAD);
    let cookie = (hash as u32).wrapping_add(spread) & !MARK | (slot as u32 & 1) << 1 | index as u32 & 1;
    (cookie, (hash >> 32) as u32)
}

/// Whether a SYN can be answered in its own frame: it is complete, its headers have no options, and the link layer
/// is Ethernet.
#[inline(always)]
pub fn is_answerable<A: Challenged>(link: &Link, datagram: &Datagram<A>) -> bool {
    !link.is_deep && datagram.fragment == Fragment::Whole && datagram.transport == link.length + A::HEADER
}

/// Rewrites the SYN in `frame` into its answer: a SYN-ACK with the cookie as sequence number. The answer is never
/// longer than the SYN. Returns `false` if the frame can't be written, or is not addressed to a single host.
#[inline(always)]
pub fn write<A, F>(
    frame: &F,
    link: &Link,
    flow: &Flow<A>,
    secrets: &Secrets,
    constants: &Constants,
    now_ns: u64,
) -> bool
where
    A: Challenged,
    F: Rewrite,
{
    /// The group bit (IEEE 802) of an address that begins with this word.
    const GROUP: u32 = 0x0100_0000_u32.to_be();
    /// The fourth word of a TCP header of five words (SYN with ACK, without the window), and the addend for a sixth
    /// word.
    const BEGIN: [u32; 2] = [0x5012_0000, 0x1000_0000];
    /// Protocol and length in the pseudo-header, and the addend for a sixth word.
    const PSEUDO: [u32; 2] = [(crate::parse::TCP as u32 + 20).to_be(), 4_u32.to_be()];
    let (bytes, headers, ip) = frame.headers(link.length);
    let tcp = ip + A::HEADER;
    let (window, mss) = constants.tcp(A::VERSION);
    let size = (0x0204_0000 | u32::from(mss)).to_be();
    let room = frame.room();
    // The last word is read first, so that a single bounds check remains.
    let Some([ports, isn, _, control]) = bytes.read::<[u32; 4]>(tcp) else { return false };
    // Read again, because for the verifier the check above doesn't cover these.
    let addresses = frame.fresh_bytes();
    let Some(from_rest) = addresses.read::<u16>(10) else { return false };
    let (Some(to), Some(to_rest), Some(from)) =
        (addresses.read::<u32>(0), addresses.read::<u16>(4), addresses.read::<u32>(6))
    else {
        return false;
    };
    if (to | from) & GROUP != 0 {
        return false;
    }
    // A sixth word offers a segment size, if the SYN has room for it. Computed without conditions, because each
    // would be a branch.
    let [offset, ..] = control.to_ne_bytes();
    let more = (u64::from(offset & 0xf0) + 0xa0) >> 8;
    let (cookie, label) = cookie(secrets, flow, ports, isn, now_ns);
    let is_begun = room.write(0, from)
        && room.write(4, from_rest)
        && room.write(6, to)
        && room.write(10, to_rest)
        && A::write(headers, ip, flow, more, label, constants)
        && headers.write(tcp, ports.rotate_left(16));
    let acknowledged = u32::from_be(isn).wrapping_add(1).to_be();
    let begin = (BEGIN[0] | u32::from(window)) + more as u32 * BEGIN[1];
    let begin = begin.to_be();
    let sum = A::sum(flow)
        + u64::from(ports)
        + u64::from(acknowledged)
        + u64::from(begin)
        + u64::from(PSEUDO[0])
        + more * (u64::from(PSEUDO[1]) + u64::from(size));
    let is_begun = is_begun && headers.write(tcp + 8, [acknowledged, begin]);
    let [a, b] = checksum(sum + u64::from(cookie)).to_ne_bytes();
    let is_written = is_begun
        && headers.write(tcp + 4, cookie)
        && headers.write(tcp + 16, u32::from_ne_bytes([a, b, 0, 0]));
    is_written && (more == 0 || headers.write(tcp + 20, size))
}

/// Returns the Internet checksum (RFC 1071) of a sum below 2^48. Both are in wire order, because the sum doesn't
/// depend on the byte order.
#[inline(always)]
const fn checksum(sum: u64) -> u16 {
    !fold(sum)
}

/// Returns the ones' complement sum of the 16-bit words in such a sum.
#[inline(always)]
pub(crate) const fn fold(sum: u64) -> u16 {
    // The upper quarter of the product is the sum of the number's quarters, plus the carry of that sum in the quarter
    // below.
    (sum.wrapping_mul(0x0001_0001_0001_0001) >> 48) as u16
}

impl Challenged for Ipv4 {
    const HEADER: usize = 20;

    #[inline(always)]
    fn destination_at<F: crate::frame::Frame>(frame: &F, offset: usize) -> Option<Self> {
        frame.read(offset + 16).map(Self::from_word)
    }

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
    fn write<R: Room>(
        room: R,
        offset: usize,
        flow: &Flow<Self>,
        more: u64,
        _: u32,
        constants: &Constants,
    ) -> bool {
        const FIRST: u32 = 0x4500_0028_u32.to_be();
        const MORE: u32 = 4_u32.to_be();
        const DONT_FRAGMENT: u32 = 0x4000_u32.to_be();
        const FIXED: u64 = FIRST as u64 + DONT_FRAGMENT as u64;
        let more = more as u32 * MORE;
        let lives = u32::from_ne_bytes([constants.ttl, crate::parse::TCP, 0, 0]);
        let sum = FIXED + u64::from(lives) + u64::from(more) + Self::sum(flow);
        let [a, b] = checksum(sum).to_ne_bytes();
        let third = lives | u32::from_ne_bytes([0, 0, a, b]);
        let [source, destination]: [u32; 2] = [flow.source, flow.destination].map(bytemuck::cast);
        room.write(offset, [FIRST + more, DONT_FRAGMENT, third, destination, source])
    }
}

impl Challenged for Ipv6 {
    const HEADER: usize = 40;

    #[inline(always)]
    fn destination_at<F: crate::frame::Frame>(frame: &F, offset: usize) -> Option<Self> {
        let [low, high] = [frame.read(offset + 32)?, frame.read(offset + 24)?];
        Some(Self::from_halves([high, low]))
    }

    /// The source is hashed as it is. Destination, ports and slot are hashed as a digest, because each word costs
    /// 34 instructions. A source that found two destinations with the same digest would only learn that its own
    /// cookies for them are equal.
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
    fn write<R: Room>(
        room: R,
        offset: usize,
        flow: &Flow<Self>,
        more: u64,
        label: u32,
        constants: &Constants,
    ) -> bool {
        const SECOND: u32 = 20 << 16 | (crate::parse::TCP as u32) << 8;
        const MORE: u32 = 4 << 16;
        /// The bits of a flow label, all of which Linux chooses at random.
        const LABEL: u32 = 0xf_ffff;
        let ([a, b], [c, d]) = (flow.destination.halves(), flow.source.halves());
        let second = (SECOND | u32::from(constants.hop_limit)) + more as u32 * MORE;
        let first = 0x6000_0000 | label & LABEL;
        room.write(offset, [first.to_be(), second.to_be()]) && room.write(offset + 8, [a, b, c, d])
    }
}

#[cfg(test)]
mod tests;
