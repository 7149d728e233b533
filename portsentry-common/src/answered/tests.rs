use core::net::{Ipv4Addr, Ipv6Addr};
use std::vec::Vec;

use super::*;

const HOST: [u8; 4] = [203, 0, 113, 9];
const CLIENT: [u8; 4] = [192, 0, 2, 77];

fn header(protocol: u8, [source, destination]: [[u8; 4]; 2]) -> Vec<u8> {
    let mut header = std::vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, protocol, 0, 0];
    header.extend(source);
    header.extend(destination);
    header
}

fn segment(flags: u8, sequence: u32) -> Vec<u8> {
    let mut packet = header(TCP, [HOST, CLIENT]);
    packet.extend([0, 80, 0x9c, 0x40]);
    packet.extend(sequence.to_be_bytes());
    packet.extend([0, 0, 0, 7, 0x50, flags, 0, 0, 0, 0, 0, 0]);
    packet
}

fn quoting(kind: u8, code: u8, protocol: u8, ends: [[u8; 4]; 2]) -> Vec<u8> {
    const ROUTER: [u8; 4] = [203, 0, 113, 1];
    let mut packet = header(1, [ROUTER, CLIENT]);
    packet.extend([kind, code, 0, 0, 0, 0, 0, 0]);
    packet.extend(header(protocol, ends));
    packet.extend([0x9c, 0x40, 0, 80, 0, 0, 0, 0]);
    packet
}

fn read(packet: &[u8]) -> Option<Answer> {
    let (found, question) = answer::<Ipv4, &[u8]>(packet)?;
    let [client, host] = [CLIENT, HOST].map(|address| Ipv4::from(Ipv4Addr::from(address)));
    assert_eq!((question.source, question.destination), (client, host));
    assert_eq!((question.source_port, question.port), (40_000, 80));
    Some(found)
}

#[test]
fn answers_are_told_from_other_packets() {
    const SYN: u8 = TcpFlags::SYN;
    const RST: u8 = TcpFlags::RST;
    const ACK: u8 = TcpFlags::ACK;
    const ECE: u8 = 0x40;
    let question = [CLIENT, HOST];
    for (what, packet, expected) in [
        ("a SYN-ACK", segment(SYN | ACK, 9), Some(Answer::Accepts)),
        ("an ECN SYN-ACK", segment(SYN | ACK | ECE, 9), Some(Answer::Accepts)),
        ("a reset of a SYN", segment(RST | ACK, 0), Some(Answer::Refuses)),
        ("a reset that ends a connection", segment(RST | ACK, 5), None),
        ("a reset of an ACK", segment(RST, 0), None),
        ("data", segment(ACK, 0), Some(Answer::Converses)),
        ("an end", segment(0x01 | ACK, 0), Some(Answer::Converses)),
        ("a segment without acknowledgement", segment(0, 0), None),
        ("a SYN of the host's own", segment(SYN, 0), None),
        ("port unreachable", quoting(3, 3, TCP, question), Some(Answer::Refuses)),
        ("port unreachable, for a datagram", quoting(3, 3, UDP, question), Some(Answer::Refuses)),
        ("administratively prohibited", quoting(3, 13, TCP, question), Some(Answer::Refuses)),
        ("host unreachable", quoting(3, 1, TCP, question), None),
        ("fragmentation needed", quoting(3, 4, TCP, question), None),
        ("time exceeded", quoting(11, 0, TCP, question), None),
        ("an error about another protocol", quoting(3, 3, 132, question), None),
        ("an error about another's packet", quoting(3, 3, TCP, [HOST, HOST]), None),
    ] {
        assert_eq!(read(&packet), expected, "{what}");
        for length in 0..packet.len() {
            // Must not panic, and finds nothing else in a part of the packet.
            assert!(read(&packet[..length]).is_none_or(|found| Some(found) == expected), "{what}");
        }
    }
    let mut reply = header(UDP, [HOST, CLIENT]);
    reply.extend([0, 80, 0x9c, 0x40, 0, 8, 0, 0]);
    assert_eq!(read(&reply), Some(Answer::Replies));
    reply[7] = 1;
    assert_eq!(read(&reply), None, "a later fragment has no ports");
    let mut with_options = segment(SYN | ACK, 9);
    with_options[0] = 0x46;
    assert_eq!(read(&with_options), None);
}

#[test]
fn icmp_errors_of_ipv6_are_read() {
    let [host, client] =
        ["2001:db8:100::9", "2001:db8:bad::1"].map(|text| text.parse::<Ipv6Addr>().expect("an address"));
    let header = |next: u8, [source, destination]: [Ipv6Addr; 2]| {
        let mut header = std::vec![0x60, 0, 0, 0, 0, 20, next, 64];
        header.extend(source.octets());
        header.extend(destination.octets());
        header
    };
    for (kind, code, expected) in [(1, 4, true), (1, 1, true), (1, 3, false), (1, 0, false), (2, 0, false)] {
        let mut packet = header(58, [host, client]);
        packet.extend([kind, code, 0, 0, 0, 0, 0, 0]);
        packet.extend(header(TCP, [client, host]));
        packet.extend([0x9c, 0x40, 0, 80, 0, 0, 0, 0]);
        let found = answer::<Ipv6, &[u8]>(&packet);
        assert_eq!(found.is_some(), expected, "{kind} {code}");
        if let Some((answer, question)) = found {
            assert_eq!((answer, question.port), (Answer::Refuses, 80));
            assert_eq!(question.destination, host.into());
        }
    }
}
