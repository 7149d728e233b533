//! Frames, and the contacts that they are.

use std::{
    io::Write,
    net::{Ipv4Addr, Ipv6Addr},
};

use etherparse::{IpHeaders, Ipv4Header, PacketBuilder, TcpOptionElement};
use portsentry_common::scan::{Outcome, Shape};

use super::*;

const CLIENT: [u8; 4] = [203, 0, 113, 9];
const SERVER: [u8; 4] = [198, 51, 100, 7];
const PORT: u16 = 80;

/// A TCP segment's fields that matter here.
#[derive(Clone, Copy, Default)]
struct Segment {
    syn: bool,
    ack: bool,
    rst: bool,
    id: u16,
    sequence: u32,
    window: u16,
    options: &'static [TcpOptionElement],
}

const SYN: Segment = Segment {
    syn: true,
    ack: false,
    rst: false,
    id: 1,
    sequence: 99,
    window: 64240,
    options: &[
        TcpOptionElement::MaximumSegmentSize(1460),
        TcpOptionElement::SelectiveAcknowledgementPermitted,
    ],
};

fn frame(segment: &Segment, from: ([u8; 4], u16), to: ([u8; 4], u16)) -> Vec<u8> {
    let mut header = Ipv4Header::new(0, 64, etherparse::IpNumber::TCP, from.0, to.0).expect("a header");
    header.identification = segment.id;
    let ip = IpHeaders::Ipv4(header, etherparse::Ipv4Extensions::default());
    let mut step = PacketBuilder::ip(ip)
        .tcp(from.1, to.1, segment.sequence, segment.window)
        .options(segment.options)
        .expect("options");
    if segment.syn {
        step = step.syn();
    }
    if segment.ack {
        step = step.ack(1);
    }
    if segment.rst {
        step = step.rst();
    }
    let mut frame = Vec::new();
    step.write(&mut frame, &[]).expect("a frame");
    frame
}

fn forth(segment: &Segment) -> Vec<u8> {
    frame(segment, (CLIENT, 4000), (SERVER, PORT))
}

fn back(segment: &Segment) -> Vec<u8> {
    frame(segment, (SERVER, PORT), (CLIENT, 4000))
}

/// Returns an ICMP error "destination unreachable" that quotes `quote`.
fn unreachable(code: u8, quote: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ipv4([192, 0, 2, 1], CLIENT, 64)
        .icmpv4_raw(3, code, [0; 4])
        .write(&mut frame, &quote[..28])
        .expect("a frame");
    frame
}

/// Returns the contacts in frames with these times.
fn contacts(frames: &[(f64, Vec<u8>)]) -> Vec<Event> {
    let mut contacts = Contacts::new(None);
    for (at, frame) in frames {
        let frame = parse(Linktype::RAW, frame).expect("a known link type");
        if let Some(packet) = frame.as_ref().and_then(Packet::of) {
            contacts.read(*at, &packet);
        }
    }
    contacts.finish().0
}

#[test]
fn the_answer_is_the_outcome() {
    let syn = forth(&SYN);
    let accepts = back(&Segment { ack: true, ..SYN });
    let refuses = back(&Segment { ack: true, rst: true, ..Segment::default() });
    for (name, answers, expected) in [
        ("SYN-ACK", vec![(0.1, accepts.clone())], Outcome::Served),
        ("RST", vec![(0.1, refuses.clone())], Outcome::Refused),
        ("port unreachable", vec![(0.1, unreachable(3, &syn))], Outcome::Refused),
        ("prohibited", vec![(0.1, unreachable(13, &syn))], Outcome::Refused),
        ("host unreachable", vec![(2.0, unreachable(1, &syn))], Outcome::Silent),
        ("none", vec![], Outcome::Silent),
        ("a repetition's", vec![(1.0, syn.clone()), (1.1, accepts.clone())], Outcome::Served),
        ("too late", vec![(3.5, accepts)], Outcome::Silent),
        ("another port's", vec![(0.1, frame(&SYN, (SERVER, 81), (CLIENT, 4000)))], Outcome::Silent),
    ] {
        let frames: Vec<_> = [(0.0, syn.clone())].into_iter().chain(answers).collect();
        let event = contacts(&frames).into_iter().find(|event| event.pair.1 == 80).expect("a contact");
        let destination = (Ipv4Addr::from(SERVER).to_bits(), 80);
        let source = u64::from(Ipv4Addr::from(CLIENT).to_bits());
        assert_eq!((event.source, event.pair, event.outcome), (source, destination, expected), "{name}");
    }
    assert_eq!(contacts(&[(0.0, syn.clone()), (1.0, syn.clone()), (2.9, syn)]).len(), 1, "repetitions");
}

/// An error quotes the IPv6 header and the first eight bytes of the SYN.
#[test]
fn an_error_about_an_ipv6_syn_is_its_refusal() {
    let [client, server] =
        ["2001:db8:9::1", "2001:db8::7"].map(|it| it.parse::<Ipv6Addr>().expect("one").octets());
    let mut syn = Vec::new();
    let step = PacketBuilder::ipv6(client, server, 64).tcp(4000, PORT, 99, 64240).syn();
    step.write(&mut syn, &[]).expect("a frame");
    for (code, expected) in [(4, Outcome::Refused), (1, Outcome::Refused), (3, Outcome::Silent)] {
        let mut error = Vec::new();
        let step = PacketBuilder::ipv6(server, client, 64).icmpv6_raw(1, code, [0; 4]);
        step.write(&mut error, &syn[..48]).expect("a frame");
        let events = contacts(&[(0.0, syn.clone()), (0.1, error)]);
        assert_eq!(events.iter().map(|event| event.outcome).collect::<Vec<_>>(), [expected], "{code}");
    }
}

#[test]
fn the_header_fields_are_the_shape() {
    let server = Ipv4Addr::from(SERVER).to_bits();
    for (name, segment, expected) in [
        ("an operating system", SYN, Shape::Ordinary),
        ("no options", Segment { options: &[], ..SYN }, Shape::Bare),
        ("ZMap", Segment { id: 54321, ..SYN }, Shape::Pattern),
        ("masscan", Segment { window: 1024, options: &[], ..SYN }, Shape::Pattern),
        ("Mirai", Segment { sequence: server, ..SYN }, Shape::Pattern),
        ("nmap", Segment { window: 1024, options: &SYN.options[..1], ..SYN }, Shape::Pattern),
    ] {
        assert_eq!(contacts(&[(0.0, forth(&segment))])[0].shape, expected, "{name}");
    }
}

/// A day of answers to packets that others sent with our addresses: from 300 hosts, 100 each.
#[test]
fn backscatter_is_no_contact() {
    let mut frames = Vec::new();
    let syn = forth(&SYN);
    for number in 0..30_000_u32 {
        let [_, high, low, _] = (number << 8).to_be_bytes();
        let (from, to) = (([203, 0, high, low], 80), ([198, 51, 100, low], 1024 + u16::from(low)));
        let answer = match number % 5 {
            0 => frame(&Segment { ack: true, ..SYN }, from, to),
            1 => frame(&Segment { rst: true, ..Segment::default() }, from, to),
            2 => frame(&Segment { rst: true, ack: true, ..Segment::default() }, from, to),
            3 => unreachable(3, &syn),
            _ => unreachable(13, &syn),
        };
        frames.push((f64::from(number) * 2.88, answer));
    }
    let events = contacts(&frames);
    assert_eq!(events, []);
}

/// Reads a `pcap` file that has a frame at each of these times: seconds, and parts of a second.
fn file(magic: u32, link: u32, frames: &[(u32, u32, Vec<u8>)]) -> Capture {
    let header = [magic, 4 << 16 | 2, 0, 0, 65535, link].map(u32::to_le_bytes).concat();
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(&header).expect("a file");
    for (seconds, parts, frame) in frames {
        let length = u32::try_from(frame.len()).expect("a length");
        let record = [*seconds, *parts, length, length].map(u32::to_le_bytes).concat();
        file.write_all(&[&record[..], frame].concat()).expect("a file");
    }
    read(file.path(), None).expect("a capture")
}

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
/// `LINKTYPE_RAW`.
const RAW: u32 = 101;

/// An answer counts for three seconds, and these files say in which parts of a second it came.
#[test]
fn the_times_of_a_capture_are_read_to_their_precision() {
    let (syn, accepts) = (forth(&SYN), back(&Segment { ack: true, ..SYN }));
    for (magic, hundredth) in [(MICROSECONDS, 10_000), (NANOSECONDS, 10_000_000)] {
        for (asked, answered, expected) in
            [((0, 1), (3, 99), Outcome::Silent), ((0, 99), (3, 98), Outcome::Served)]
        {
            let frame = |(seconds, parts): (u32, u32), frame: &Vec<u8>| {
                (1_700_000_000 + seconds, parts * hundredth, frame.clone())
            };
            let capture = file(magic, RAW, &[frame(asked, &syn), frame(answered, &accepts)]);
            assert_eq!(capture.events.len(), 1, "{magic:x}");
            assert_eq!(capture.events[0].outcome, expected, "{magic:x}: {asked:?}, {answered:?}");
        }
    }
}

#[test]
fn an_unknown_link_type_is_told() {
    const IEEE802_11: u32 = 105;
    let capture = file(MICROSECONDS, IEEE802_11, &[(1, 0, forth(&SYN)), (2, 0, forth(&SYN))]);
    let text = summarize(&capture);
    assert!(text.starts_with("2 frames, 0 connections"), "{text}");
    assert!(text.contains("2 frames not read: unknown link type 105"), "{text}");
    let text = summarize(&file(MICROSECONDS, RAW, &[(1, 0, forth(&SYN))]));
    assert!(!text.contains("not read"), "{text}");
}
