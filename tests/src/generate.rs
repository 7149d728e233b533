//! Random frames: packets of every kind, whole or damaged, and noise.
//!
//! Generators with the same seed produce the same frames.

mod combination;
mod damage;

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use fastrand::Rng;

pub use combination::{COMBINATIONS, combination};

use crate::{
    frames::{ACK, Checksum, Extension, FIN, Packet, SYN, XMAS, protocol, tcp, udp},
    test_host::{OWN, PEERS},
};

/// Ports of interest: listed, at the edges of the advanced range, excluded, or with a socket.
const PORTS: [u16; 20] =
    [0, 1, 22, 23, 25, 53, 80, 113, 123, 161, 323, 443, 520, 990, 1023, 1024, 1025, 1900, 8080, 65_535];
/// Ports of the peers' sockets.
const PEER_PORTS: [u16; 4] = [53, 50_000, 50_001, 50_002];
/// Destinations other than the host, including protected ones.
const ELSEWHERE: [&str; 8] = [
    "203.0.113.77",
    "2001:db8:100::7",
    "198.51.100.99",
    "2001:db8:ffff::1",
    "255.255.255.255",
    "224.0.0.1",
    "ff02::1",
    "127.0.0.1",
];
/// Sources that are ignored, that are the host's own addresses, or that can't be a single host.
const ODD_SOURCES: [&str; 14] = [
    "192.0.2.241",
    "2001:db8:fee::1",
    "198.51.100.1",
    "2001:db8::1",
    "0.0.0.0",
    "127.0.0.1",
    "224.0.0.5",
    "255.255.255.255",
    "::",
    "::1",
    "ff02::5",
    "::ffff:192.0.2.9",
    "::ffff:198.51.100.1",
    "::2",
];
/// Control bits that stacks or scanners send; others are random.
const FLAGS: [u8; 10] = [SYN, ACK, FIN, 0, XMAS, FIN | ACK, SYN | ACK, SYN | FIN, 4, 20];
/// Ethernet payloads: IPv4, IPv6, tags, ARP, a length.
const ETHERTYPES: [u16; 6] = [0x0800, 0x86dd, 0x8100, 0x88a8, 0x0806, 46];

/// Mostly correct, because only those are answered.
const CHECKSUMS: [Checksum; 4] = [Checksum::Right, Checksum::Right, Checksum::Partial, Checksum::Zero];

/// Number of recent frames that may be repeated.
const MEMORY: usize = 8;

/// An endless source of frames.
#[derive(Clone, Debug)]
pub struct Generator {
    random: Rng,
    latest: VecDeque<Vec<u8>>,
}

impl Generator {
    /// Returns the generator for `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: Rng::with_seed(seed), latest: VecDeque::new() }
    }

    /// Returns a frame of at least 14 bytes: a packet, a damaged one, noise, or a repetition.
    pub fn frame(&mut self) -> Vec<u8> {
        let random = &mut self.random;
        let frame = match random.u8(..20) {
            0 => noise(random),
            1 | 2 if !self.latest.is_empty() => self.latest[random.usize(..self.latest.len())].clone(),
            3..=11 => packet(random).frame(0),
            _ => {
                let whole = packet(random).frame(0);
                damage::damage(random, whole)
            }
        };
        self.latest.push_back(frame.clone());
        if self.latest.len() > MEMORY {
            self.latest.pop_front();
        }
        frame
    }
}

/// Returns random bytes, often with the `EtherType` of a packet.
fn noise(random: &mut Rng) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..random.usize(14..160)).map(|_| random.u8(..)).collect();
    if random.bool() {
        bytes[12..14].copy_from_slice(&pick(random, &ETHERTYPES).to_be_bytes());
    }
    bytes
}

/// Returns a packet with consistent headers.
fn packet(random: &mut Rng) -> Packet {
    let destination = destination(random);
    let mut packet = match random.u8(..10) {
        0..6 => segment(random),
        6..9 => udp(),
        _ => protocol(random.u8(..)),
    };
    let port = if random.bool() { pick(random, &PORTS) } else { random.u16(..1200) };
    packet = packet
        .to(&SocketAddr::new(destination, port).to_string())
        .from(&source(random, destination.is_ipv6()).to_string());
    let tags = if one_in(random, 40) { random.usize(..2400) } else { random.usize(..8).saturating_sub(4) };
    for _ in 0..tags {
        let identifier = random.u16(..4096);
        packet = if random.bool() { packet.vlan(identifier) } else { packet.service_vlan(identifier) };
    }
    if one_in(random, 4) {
        packet = if destination.is_ipv4() {
            packet.ipv4_options(random.usize(0..=10) * 4)
        } else {
            (0..extensions(random)).fold(packet, |packet, _| packet.extension(extension(random)))
        };
    }
    packet = sized(random, packet);
    if one_in(random, 20) {
        let number = if destination.is_ipv4() { 0x21 } else { 0x57 };
        packet = if random.bool() { packet.session(&[number]) } else { packet.session(&[0, number]) };
    }
    if one_in(random, 40) { packet.announced_as(pick(random, &ETHERTYPES)) } else { packet }
}

/// Returns a TCP segment, with or without options, and with any kind of checksum.
fn segment(random: &mut Rng) -> Packet {
    const SIZE: [u8; 4] = [2, 4, 5, 180];
    let packet = tcp(if random.bool() { pick(random, &FLAGS) } else { random.u8(..) });
    let options = match random.u8(..4) {
        0 | 1 => SIZE.to_vec(),
        2 => (0..random.usize(..10) * 4).map(|_| random.u8(..)).collect(),
        _ => Vec::new(),
    };
    packet.tcp_options(&options).checksum(pick(random, &CHECKSUMS))
}

/// Adds a payload, or keeps only a part of the datagram.
fn sized(random: &mut Rng, packet: Packet) -> Packet {
    let payload = match random.u8(..40) {
        // More than the first buffer holds.
        0 => random.usize(3400..9000),
        1..20 => random.usize(0..100),
        _ => 0,
    };
    let packet = packet.payload(payload);
    let packet = match random.u8(..16) {
        0 => packet.first_fragment(random.usize(0..40)),
        1 => packet.middle_fragment(random.usize(0..5) * 8, random.usize(0..40)),
        2 => packet.last_fragment(random.usize(0..5) * 8),
        3 => packet.carrying(random.usize(0..30)),
        _ => packet,
    };
    if one_in(random, 4) { packet.padding(random.usize(0..20)) } else { packet }
}

/// Returns the number of extension headers: usually few.
fn extensions(random: &mut Rng) -> usize {
    if one_in(random, 40) { random.usize(1..1200) } else { random.usize(1..=9) }
}

fn extension(random: &mut Rng) -> Extension {
    let octets = if one_in(random, 20) { random.usize(1..=255) } else { random.usize(1..4) };
    match random.u8(..6) {
        0 => Extension::HopByHop(octets),
        1 => Extension::Routing(octets),
        2 => Extension::DestinationOptions(octets),
        3 => Extension::Authentication(random.usize(1..5) * 4),
        4 => Extension::Fragment { offset: random.u16(..4) * 8, more: random.bool() },
        _ => Extension::ATOMIC_FRAGMENT,
    }
}

fn destination(random: &mut Rng) -> IpAddr {
    let text = if one_in(random, 8) { pick(random, &ELSEWHERE) } else { pick(random, &OWN) };
    text.parse().expect("an address")
}

/// Returns a source: usually a stranger; sometimes a peer, or an odd one.
fn source(random: &mut Rng, is_ipv6: bool) -> SocketAddr {
    let of_family = |addresses: &[&str]| -> Vec<IpAddr> {
        let parsed = addresses.iter().map(|address| address.parse().expect("an address"));
        parsed.filter(|address: &IpAddr| address.is_ipv6() == is_ipv6).collect()
    };
    match random.u8(..16) {
        0..3 => (pick(random, &of_family(&PEERS)), pick(random, &PEER_PORTS)).into(),
        3..5 => (pick(random, &of_family(&ODD_SOURCES)), random.u16(..)).into(),
        _ => (stranger(random, is_ipv6), random.u16(..)).into(),
    }
}

/// Returns one of few addresses, so that some repeat.
fn stranger(random: &mut Rng, is_ipv6: bool) -> IpAddr {
    let number = random.u16(..2000);
    if is_ipv6 {
        Ipv6Addr::new(0x2001, 0xdb8, number % 7, 0, 0, 0, 0xbad, number).into()
    } else {
        Ipv4Addr::from(u32::from(Ipv4Addr::new(203, 0, 64, 0)) + u32::from(number) * 3).into()
    }
}

fn one_in(random: &mut Rng, chances: u8) -> bool {
    random.u8(..chances) == 0
}

fn pick<T: Copy>(random: &mut Rng, choices: &[T]) -> T {
    *random.choice(choices).expect("something to choose from")
}
