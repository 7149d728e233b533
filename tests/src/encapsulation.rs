//! SYNs and datagrams in random encapsulations that a host removes: priority tags, IPv4 options, IPv6 extension
//! headers, fragments.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use fastrand::Rng;

const TCP: u8 = 6;
const UDP: u8 = 17;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const OPTIONS: u8 = 60;
const ETHERNET: usize = 14;
const TAG: usize = 4;

/// The packet to wrap.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Source address and port.
    pub source: SocketAddr,
    /// Destination address and port.
    pub destination: SocketAddr,
    /// Whether it is a SYN; otherwise a datagram.
    pub is_syn: bool,
}

/// Returns the frames that carry `question` behind the header `link` (both Ethernet addresses), none longer than
/// `mtu`.
pub fn wrap(random: &mut Rng, question: &Question, link: [u8; 12], mtu: usize) -> Vec<Vec<u8>> {
    let tags = tags(random, mtu);
    let room = mtu - tags.len();
    let (ethertype, packets) = match (question.source.ip(), question.destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            ([0x08, 0x00], ipv4(random, question, source, destination, room))
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            ([0x86, 0xdd], ipv6(random, question, source, destination, room))
        }
        ends => panic!("a packet can't join two address families: {ends:?}"),
    };
    let mut frames: Vec<Vec<u8>> =
        packets.into_iter().map(|packet| [&link[..], &tags, &ethertype, &packet].concat()).collect();
    // Fragments may come in any order.
    if random.u8(..4) == 0 {
        frames.reverse();
    }
    frames
}

/// Returns priority tags: none, a few, or as many as leave room for a packet with two headers.
fn tags(random: &mut Rng, mtu: usize) -> Vec<u8> {
    const LEFT: usize = 200;
    let count = match random.u8(..10) {
        0..4 => 0,
        4..9 => random.usize(1..6),
        _ => random.usize(1..(mtu - LEFT) / TAG),
    };
    let tag = |random: &mut Rng| if random.bool() { [0x81, 0, 0, 0] } else { [0x88, 0xa8, 0xe0, 0] };
    (0..count).flat_map(|_| tag(random)).collect()
}

fn ipv4(
    random: &mut Rng,
    question: &Question,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    room: usize,
) -> Vec<Vec<u8>> {
    let pseudo = [&source.octets()[..], &destination.octets()].concat();
    let segment = segment(random, question, &pseudo, room - 60);
    let options = if random.bool() { 0 } else { random.usize(0..=10) * 4 };
    let identifier = random.u16(1..);
    let cut = if random.u8(..3) == 0 { cuts(random, segment.len()) } else { vec![0, segment.len()] };
    cut.windows(2)
        .map(|part| {
            let [start, end] = [part[0], part[1]];
            let more = u16::from(end < segment.len()) << 13;
            let word = more | u16::try_from(start / 8).expect("an offset");
            let total = u16::try_from(20 + options + end - start).expect("a packet's length");
            let mut header = vec![0x45 + u8::try_from(options / 4).expect("words"), 0];
            header.extend(total.to_be_bytes());
            header.extend(identifier.to_be_bytes());
            header.extend(word.to_be_bytes());
            header.extend([64, if question.is_syn { TCP } else { UDP }, 0, 0]);
            header.extend(&pseudo);
            // No operation.
            header.extend(vec![1; options]);
            let sum = checksum(&[&header]);
            header[10..12].copy_from_slice(&sum);
            [&header, &segment[start..end]].concat()
        })
        .collect()
}

fn ipv6(
    random: &mut Rng,
    question: &Question,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    room: usize,
) -> Vec<Vec<u8>> {
    let ends = [&source.octets()[..], &destination.octets()].concat();
    let segment = segment(random, question, &ends, 100);
    let chain = chain(random, room - 40 - 8 - segment.len());
    // The headers before the fragment header are repeated in each fragment.
    let (first, rest) = chain.split_at(random.usize(..=chain.len()));
    let transport = if question.is_syn { TCP } else { UDP };
    let packet = |headers: &[(u8, Vec<u8>)], last: u8, carried: &[u8], length: Option<u16>| {
        let mut bytes = carried.to_vec();
        let mut next = last;
        for (number, body) in headers.iter().rev() {
            bytes.splice(..0, [&[next], &body[1..]].concat());
            next = *number;
        }
        let length = length.unwrap_or_else(|| u16::try_from(bytes.len()).expect("a payload's length"));
        [&[0x60, 0, 0, 0], &length.to_be_bytes()[..], &[next, 64], &ends, &bytes].concat()
    };
    let way = random.u8(..6);
    if way == 0 && chain.first().is_some_and(|(number, _)| *number == HOP_BY_HOP) {
        return vec![packet(&chain, transport, &segment, Some(0))];
    }
    if way > 2 {
        return vec![packet(&chain, transport, &segment, None)];
    }
    let mut rest_of_it = segment;
    let mut next = transport;
    for (number, body) in rest.iter().rev() {
        rest_of_it.splice(..0, [&[next], &body[1..]].concat());
        next = *number;
    }
    let whole = vec![0, rest_of_it.len()];
    let cut = if way == 1 { whole } else { cuts(random, rest_of_it.len()) };
    let identifier = random.u32(1..).to_be_bytes();
    cut.windows(2)
        .map(|part| {
            let [start, end] = [part[0], part[1]];
            let word = u16::try_from(start).expect("an offset") | u16::from(end < rest_of_it.len());
            let header = [&[next, 0], &word.to_be_bytes()[..], &identifier].concat();
            packet(first, FRAGMENT, &[&header, &rest_of_it[start..end]].concat(), None)
        })
        .collect()
}

/// Returns extension headers with their numbers, at most `most` bytes in total. The first octet of each body is
/// reserved for the next header's number.
fn chain(random: &mut Rng, most: usize) -> Vec<(u8, Vec<u8>)> {
    let mut chain = Vec::new();
    if random.u8(..3) == 0 {
        chain.push((HOP_BY_HOP, options(random, false)));
    }
    let count = match random.u8(..8) {
        0..3 => 0,
        3..7 => random.usize(1..12),
        _ => random.usize(1..most / 8),
    };
    let mut length: usize = chain.iter().map(|(_, body): &(u8, Vec<u8>)| body.len()).sum();
    for _ in 0..count {
        let body = match random.u8(..20) {
            // A routing header without segments left.
            0 => (ROUTING, vec![0, 0, 4, 0, 0, 0, 0, 0]),
            1..3 => (OPTIONS, options(random, true)),
            _ => (OPTIONS, options(random, false)),
        };
        length += body.1.len();
        if length > most {
            break;
        }
        chain.push(body);
    }
    chain
}

/// Returns padding options or, if `is_long`, an option that hosts skip.
fn options(random: &mut Rng, is_long: bool) -> Vec<u8> {
    const SKIPPED: u8 = 0x1e;
    if !is_long {
        return vec![0, 0, 1, 4, 0, 0, 0, 0];
    }
    let units = random.u8(1..32);
    let length = units * 8 + 4;
    [&[0, units, SKIPPED, length], &vec![0; usize::from(length)][..]].concat()
}

/// Returns the boundaries of fragments: multiples of eight.
fn cuts(random: &mut Rng, length: usize) -> Vec<usize> {
    let mut cuts: Vec<usize> =
        (0..random.usize(1..3)).map(|_| random.usize(..=length / 8) * 8).filter(|at| *at < length).collect();
    cuts.extend([0, length]);
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

/// Returns a SYN or a datagram with up to `most` bytes of payload and a valid checksum.
fn segment(random: &mut Rng, question: &Question, ends: &[u8], most: usize) -> Vec<u8> {
    let payload = vec![b'x'; random.usize(..most.min(64))];
    let ports = [question.source.port().to_be_bytes(), question.destination.port().to_be_bytes()].concat();
    let (number, at, mut segment) = if question.is_syn {
        let options = random.usize(0..=10) * 4;
        let offset = u8::try_from(5 + options / 4).expect("words") << 4;
        let rest = [0, 0, 0, 1, 0, 0, 0, 0, offset, 2, 4, 0, 0, 0, 0, 0];
        (TCP, 16, [&ports[..], &rest, &vec![1; options]].concat())
    } else {
        let length = u16::try_from(8 + payload.len()).expect("a datagram's length").to_be_bytes();
        (UDP, 6, [&ports[..], &length, &[0, 0], &payload].concat())
    };
    let length = u32::try_from(segment.len()).expect("a segment's length").to_be_bytes();
    let sum = checksum(&[ends, &length, &[0, 0, 0, number], &segment]);
    segment[at..at + 2].copy_from_slice(&sum);
    segment
}

/// Returns the Internet checksum (RFC 1071) of parts of even lengths, except the last.
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u32 =
        words.map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).expect("a folded sum")).to_be_bytes()
}

/// Returns the destination of the answer in `frame`, and whether it is a SYN-ACK. Other answers are segments and
/// port-unreachable errors.
#[must_use]
pub fn answer(frame: &[u8]) -> Option<(SocketAddr, bool)> {
    let packet = frame.get(ETHERNET..)?;
    let port = |bytes: &[u8], at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let (to, number, carried): (IpAddr, u8, &[u8]) = match frame[12..ETHERNET] {
        [0x08, 0x00] => {
            let to: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
            (to.into(), *packet.get(9)?, packet.get(20..)?)
        }
        [0x86, 0xdd] => {
            let to: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
            (to.into(), *packet.get(6)?, packet.get(40..)?)
        }
        _ => return None,
    };
    match (number, carried.get(..2)?) {
        (TCP, _) => Some((SocketAddr::new(to, port(carried, 2)?), carried.get(13)? & 0x12 == 0x12)),
        // Port unreachable, over IPv4 and IPv6.
        (1, [3, 3]) | (58, [1, 4]) => Some((SocketAddr::new(to, 0), false)),
        _ => None,
    }
}
