//! Questions and answers: the rules and the oracle learn the same, and an answer names the hosts that its packet names.
//!
//! An input is a sequence of frames, each after two bytes: its way and its length. The way, modulo 3, is 0 if the frame
//! arrives, 1 if it leaves and comes from another host, and 2 if it leaves and comes from this host.

use std::{cell::OnceCell, fmt::Debug};

use portsentry_common::{
    address::{Ipv4, Ipv6},
    answered::{Answer, Answering, answer},
    classify::Protocol,
    parse::{ETHERNET, TCP, UDP},
};
use portsentry_tests::{
    frames::{ACK, Layer, Packet, RST, SYN, protocol, tcp, udp},
    model::Model,
    oracle::Oracle,
    outcome::Judge,
    scenario::{Scenario, learning},
};

thread_local! {
    static SCENARIO: OnceCell<Scenario> = const { OnceCell::new() };
}

pub(super) fn check(data: &[u8]) {
    SCENARIO.with(|scenario| judge(scenario.get_or_init(|| Scenario::with(learning)), data));
}

fn judge(scenario: &Scenario, mut frames: &[u8]) {
    let (mut model, mut oracle) = (Model::new(scenario), Oracle::new(scenario));
    while let [way, length, rest @ ..] = frames {
        let (frame, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        frames = rest;
        if frame.len() <= ETHERNET {
            continue;
        }
        if way % 3 == 0 {
            assert_eq!(model.judge(frame), oracle.judge(frame), "{frame:02x?}");
            continue;
        }
        // The kernel has chosen the IP version by the type.
        let mut frame = frame.to_vec();
        let is_ipv4 = frame[ETHERNET] >> 4 == 4;
        frame[12..ETHERNET].copy_from_slice(if is_ipv4 { &[0x08, 0x00] } else { &[0x86, 0xdd] });
        let packet = &frame[ETHERNET..];
        if is_ipv4 {
            is_sound::<Ipv4>(packet);
        } else {
            is_sound::<Ipv6>(packet);
        }
        if is_whole(packet) {
            let is_forwarded = way % 3 == 1;
            let (mut found, mut expected) =
                (model.leave(&frame, is_forwarded), oracle.leave(&frame, is_forwarded));
            found.1.sort_unstable();
            expected.1.sort_unstable();
            assert_eq!(found, expected, "{frame:02x?}");
        }
    }
}

/// Checks that an answer names the packet's source and destination, and depends on no byte behind those that are read.
fn is_sound<A: Answering + Debug>(packet: &[u8]) {
    let Some((found, question)) = answer::<A, &[u8]>(packet) else { return };
    let [from, to] = A::ends(packet).expect("ends");
    assert_eq!(question.source, to, "the answer goes to the host that asked");
    let carried = A::carried(packet).expect("a protocol");
    let number = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    if carried == A::ICMP {
        assert_eq!(found, Answer::Refuses);
    } else {
        assert_eq!(question.destination, from);
        assert_eq!([question.port, question.source_port], [number(A::HEADER), number(A::HEADER + 2)]);
        assert_eq!(found == Answer::Replies, carried == UDP);
        assert_eq!(question.protocol, if carried == TCP { Protocol::Tcp } else { Protocol::Udp });
    }
    let longer = [packet, &[0xff; 64]].concat();
    assert_eq!(answer::<A, &[u8]>(&longer), Some((found, question)));
    for length in 0..packet.len() {
        let part = answer::<A, &[u8]>(&packet[..length]);
        assert!(part.is_none_or(|part| part == (found, question)), "{length} bytes");
    }
}

/// Whether the packet has a whole transport header, without which the oracle reads nothing.
fn is_whole(packet: &[u8]) -> bool {
    let (header, carried) = match packet[0] >> 4 {
        4 => (20, packet.get(9)),
        6 => (40, packet.get(6)),
        _ => return false,
    };
    match carried {
        Some(&TCP) => {
            let length = packet.get(header + 12).map_or(0, |byte| usize::from(byte >> 4) * 4);
            length >= 20 && packet.len() >= header + length
        }
        Some(&UDP) => packet.len() >= header + 8,
        _ => true,
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    const CLIENTS: [&str; 2] = ["192.0.2.61", "[2001:db8:bad::1]"];
    const HOSTS: [&str; 2] = ["203.0.113.9", "[2001:db8:100::9]"];
    let mut seeds = Vec::new();
    for (client, host) in CLIENTS.iter().zip(HOSTS) {
        let ends = [format!("{client}:40000"), format!("{host}:2000")];
        let from_client = |packet: Packet| packet.from(&ends[0]).to(&ends[1]).frame(0);
        let from_host = |packet: Packet| packet.from(&ends[1]).to(&ends[0]);
        for (question, answers) in [
            (
                from_client(tcp(SYN)),
                vec![tcp(SYN | ACK), tcp(RST | ACK).numbers(0, 1), tcp(RST).numbers(7, 1)],
            ),
            (from_client(udp()), vec![udp()]),
        ] {
            let quoted = &question[ETHERNET..];
            let (number, header) = if client.starts_with('[') { (58, [1_u8, 4]) } else { (1, [3_u8, 3]) };
            let error = protocol(number).payload(8 + quoted.len()).with(Layer::Transport, 0, &header).with(
                Layer::Transport,
                8,
                quoted,
            );
            for answer in answers.into_iter().chain([error]) {
                let mut seed = Vec::new();
                for (way, frame) in [(0, question.clone()), (1, from_host(answer).frame(0))] {
                    seed.extend([way, u8::try_from(frame.len()).expect("a short frame")]);
                    seed.extend(frame);
                }
                seeds.push(seed);
            }
        }
    }
    // Several clients' questions to several ports, in turns.
    seeds.push(seeds.concat());
    seeds
}
