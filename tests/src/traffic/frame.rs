//! The frames of clients and of the network's hosts.

use std::net::{Ipv4Addr, SocketAddrV4};

use etherparse::{IpNumber, PacketBuilder};
use portsentry_common::classify::Protocol;

use crate::frames::{ACK, RST, SYN};

/// Ethernet addresses: destination and source.
pub type Link = [[u8; 6]; 2];

const ETHERNET: usize = 14;
const IP: usize = 20;
const ICMP: usize = 8;
/// Data of a datagram.
const DATA: &[u8] = b"hello";

/// The meaning of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A SYN.
    Syn,
    /// A SYN-ACK.
    Accepts,
    /// A RST, or ICMP "port unreachable".
    Refuses,
    /// ICMP "host unreachable".
    HostUnreachable,
    /// A datagram.
    Datagram,
    /// Another segment of a connection.
    Segment,
}

/// A received packet. The ends of an ICMP error are those of the answer that it replaces.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// Its meaning.
    pub what: What,
    /// Its protocol, or that of the packet in an ICMP error.
    pub protocol: Protocol,
    /// Its source.
    pub from: SocketAddrV4,
    /// Its destination.
    pub to: SocketAddrV4,
    /// TCP sequence number.
    pub sequence: u32,
    /// Ethernet addresses for an answer.
    pub back: Link,
}

/// Reads a frame: IPv4 without options.
pub fn read(frame: &[u8]) -> Option<Heard> {
    if frame.get(12..ETHERNET)? != [8, 0] {
        return None;
    }
    let back = [frame[6..12].try_into().ok()?, frame[..6].try_into().ok()?];
    let packet = &frame[ETHERNET..];
    let (number, ends) = ends(packet)?;
    let rest = packet.get(IP..)?;
    let of = |protocol, what, [from, to]: [SocketAddrV4; 2]| Heard {
        what,
        protocol,
        from,
        to,
        sequence: rest
            .get(4..8)
            .map_or(0, |bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])),
        back,
    };
    match IpNumber(number) {
        IpNumber::TCP => {
            let flags = *rest.get(13)?;
            let what = match flags & (SYN | ACK | RST) {
                SYN => What::Syn,
                both if both == SYN | ACK => What::Accepts,
                flags if flags & RST != 0 => What::Refuses,
                _ => What::Segment,
            };
            Some(of(Protocol::Tcp, what, ends))
        }
        IpNumber::UDP => Some(of(Protocol::Udp, What::Datagram, ends)),
        IpNumber::ICMP => {
            let what = match rest.get(..2)? {
                [3, 1] => What::HostUnreachable,
                [3, _] => What::Refuses,
                _ => return None,
            };
            let (number, [client, host]) = self::ends(rest.get(ICMP..)?)?;
            let protocol = if number == IpNumber::UDP.0 { Protocol::Udp } else { Protocol::Tcp };
            Some(of(protocol, what, [host, client]))
        }
        _ => None,
    }
}

/// Returns the protocol number and the ends of an IPv4 packet.
fn ends(packet: &[u8]) -> Option<(u8, [SocketAddrV4; 2])> {
    let address = |at| Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?));
    let port = |at| Some(u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?));
    (packet.first() == Some(&0x45)).then_some(())?;
    let ends = [(12, IP), (16, IP + 2)].map(|(at, of)| Some(SocketAddrV4::new(address(at)?, port(of)?)));
    Some((*packet.get(9)?, [ends[0]?, ends[1]?]))
}

/// Returns a TCP segment with correct checksums.
pub fn segment(
    link: Link,
    [from, to]: [SocketAddrV4; 2],
    flags: u8,
    sequence: u32,
    acknowledged: u32,
) -> Vec<u8> {
    let mut tcp = builder(link, *from.ip(), *to.ip()).tcp(from.port(), to.port(), sequence, 64_240);
    if flags & SYN != 0 {
        tcp = tcp.syn();
    }
    if flags & RST != 0 {
        tcp = tcp.rst();
    }
    if flags & ACK != 0 {
        tcp = tcp.ack(acknowledged);
    }
    let mut frame = Vec::with_capacity(64);
    tcp.write(&mut frame, &[]).expect("a segment");
    frame
}

/// Returns a UDP datagram.
pub fn datagram(link: Link, [from, to]: [SocketAddrV4; 2]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(64);
    let udp = builder(link, *from.ip(), *to.ip()).udp(from.port(), to.port());
    udp.write(&mut frame, DATA).expect("a datagram");
    frame
}

/// Returns an ICMP error "destination unreachable" from `router` that quotes `question`, a whole frame.
pub fn unreachable(link: Link, router: Ipv4Addr, code: u8, question: &[u8]) -> Option<Vec<u8>> {
    let quoted = question.get(ETHERNET..(ETHERNET + IP + ICMP).min(question.len()))?;
    let (_, [client, _]) = ends(quoted)?;
    let icmp = builder(link, router, *client.ip()).icmpv4_raw(3, code, [0; 4]);
    let mut frame = Vec::with_capacity(80);
    icmp.write(&mut frame, quoted).ok()?;
    Some(frame)
}

fn builder(
    [to, from]: Link,
    source: Ipv4Addr,
    destination: Ipv4Addr,
) -> etherparse::PacketBuilderStep<etherparse::IpHeaders> {
    PacketBuilder::ethernet2(from, to).ipv4(source.octets(), destination.octets(), 64)
}
