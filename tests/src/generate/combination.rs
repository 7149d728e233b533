//! Every combination of headers, in scattered order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::frames::{Extension, Packet, protocol, tcp, udp};

/// Number of combinations.
pub const COMBINATIONS: usize = SEGMENTS * SHAPES.len() * PARTS.len() * TAGS.len() * PORTS.len();

/// All combinations of TCP's control bits, UDP, and SCTP.
const SEGMENTS: usize = 258;
/// A watched port, a port with a service, and an unwatched port.
const PORTS: [u16; 3] = [23, 80, 113];
/// VLAN tags, outermost first; true means a service tag.
const TAGS: [&[bool]; 4] = [&[], &[false], &[true, false], &[true, false, false]];

const HOP_BY_HOP: Extension = Extension::HopByHop(1);
const ROUTING: Extension = Extension::Routing(3);
const OPTIONS: Extension = Extension::DestinationOptions(1);
const AUTHENTICATION: Extension = Extension::Authentication(12);
const ATOMIC: Extension = Extension::ATOMIC_FRAGMENT;

/// The headers between the IP header and the transport header.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Ipv4(usize),
    Ipv6(&'static [Extension]),
}

const SHAPES: [Shape; 11] = [
    Shape::Ipv4(0),
    Shape::Ipv4(4),
    Shape::Ipv4(40),
    Shape::Ipv6(&[]),
    Shape::Ipv6(&[HOP_BY_HOP]),
    Shape::Ipv6(&[ROUTING]),
    Shape::Ipv6(&[OPTIONS]),
    Shape::Ipv6(&[AUTHENTICATION]),
    Shape::Ipv6(&[ATOMIC]),
    Shape::Ipv6(&[HOP_BY_HOP, OPTIONS, ROUTING, ATOMIC, AUTHENTICATION, OPTIONS]),
    Shape::Ipv6(&[OPTIONS; 9]),
];

/// The part of the datagram.
#[derive(Clone, Copy, Debug)]
enum Part {
    Whole,
    First(usize),
    Middle,
    Last,
}

const PARTS: [Part; 6] =
    [Part::Whole, Part::First(8), Part::First(16), Part::First(24), Part::Middle, Part::Last];

/// Returns frame `number`. Numbers that differ by [`COMBINATIONS`] give the same frame.
#[must_use]
pub fn combination(number: usize) -> Vec<u8> {
    let mut rest = scatter(number);
    let mut next = |count: usize| {
        let digit = rest % count;
        rest /= count;
        digit
    };
    let segment = match next(SEGMENTS) {
        256 => udp(),
        257 => protocol(132),
        flags => tcp(u8::try_from(flags).expect("one of 256")),
    };
    let shape = SHAPES[next(SHAPES.len())];
    let part = PARTS[next(PARTS.len())];
    let tags = TAGS[next(TAGS.len())];
    let packet = between(segment.payload(12), shape, PORTS[next(PORTS.len())], number);
    let packet = match part {
        Part::Whole => packet,
        Part::First(length) => packet.first_fragment(length),
        Part::Middle => packet.middle_fragment(8, 8),
        Part::Last => packet.last_fragment(8),
    };
    let packet = (7..).zip(tags).fold(packet, |packet, (identifier, is_service)| {
        if *is_service { packet.service_vlan(identifier) } else { packet.vlan(identifier) }
    });
    packet.frame(0)
}

/// Returns its position in the scattered order.
fn scatter(number: usize) -> usize {
    /// A prime that divides none of the counts, so that neighbours differ in every property.
    const STRIDE: usize = 99_991;
    number % COMBINATIONS * STRIDE % COMBINATIONS
}

/// Sets the source that belongs to `number`, and the host as destination.
fn between(packet: Packet, shape: Shape, port: u16, number: usize) -> Packet {
    // The benchmark networks contain this many addresses (RFC 2544, RFC 5180).
    let number = u32::try_from(number % (1 << 17)).expect("17 bits");
    let (source, own): (IpAddr, &str) = match shape {
        Shape::Ipv4(_) => (Ipv4Addr::from_bits(0xc612_0000 | number).into(), "198.51.100.1"),
        Shape::Ipv6(_) => {
            let network = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0).to_bits();
            (Ipv6Addr::from_bits(network | u128::from(number)).into(), "2001:db8::1")
        }
    };
    let own: IpAddr = own.parse().expect("an address");
    let packet =
        packet.from(&SocketAddr::new(source, 40_000).to_string()).to(&SocketAddr::new(own, port).to_string());
    match shape {
        Shape::Ipv4(length) => packet.ipv4_options(length),
        Shape::Ipv6(extensions) => {
            extensions.iter().fold(packet, |packet, extension| packet.extension(*extension))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_combination_has_its_turn() {
        let places: BTreeSet<usize> = (0..COMBINATIONS).map(scatter).collect();
        assert_eq!(places.len(), COMBINATIONS);
    }
}
