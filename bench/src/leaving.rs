//! Packets that leave, and the questions that they answer.

use std::net::{IpAddr, SocketAddr};

use portsentry_common::settings::{Answers, Settings};
use portsentry_tests::frames::{ACK, Checksum, PSH, Packet, RST, SYN, tcp, udp};

use crate::{
    paths::{HONEST, OWN, SERVED, UNWATCHED, settings},
    sources::{FAMILIES, Family},
};

/// A host behind this one in `PROTECTED_NETWORKS`.
pub const BEHIND: [&str; 2] = ["203.0.113.90", "2001:db8:f::90"];
/// The client's port.
const CLIENT: u16 = 40_000;

/// The results of the program for outgoing packets (`TCX_NEXT` and `TC_ACT_SHOT`).
pub const LEAVES: u32 = u32::MAX;
const WITHHELD: u32 = 2;

/// A packet that leaves.
#[derive(Clone, Debug)]
pub struct Leaving {
    /// A short description, without the address family.
    pub name: &'static str,
    pub frame: Vec<u8>,
    /// The received frame that it answers.
    pub question: Option<Vec<u8>>,
    pub is_forwarded: bool,
    pub answers: Answers,
    /// Whether the same answer has left before.
    pub is_known: bool,
    pub result: u32,
}

impl Leaving {
    /// Returns the settings of the programs.
    pub fn settings(&self) -> Settings {
        // One failure is enough to withhold an answer.
        let failed_connections = if self.result == WITHHELD { 1 } else { 4 };
        Settings { event_rate: 0, fence_ns: 1, answers: self.answers as u8, failed_connections, ..settings() }
    }

    /// Returns the packets of this address family.
    pub fn all(family: Family) -> Vec<Self> {
        let at = |addresses: [&str; 2], port| {
            let address: IpAddr = addresses[family as usize].parse().expect("an address");
            SocketAddr::new(address, port).to_string()
        };
        let from = |packet: Packet, addresses, port| {
            let packet = packet.from(&at(addresses, port)).to(&at(HONEST, CLIENT));
            packet.checksum(Checksum::Right).frame(0)
        };
        let plain = |name, frame, is_forwarded, answers| Self {
            name,
            frame,
            question: None,
            is_forwarded,
            answers,
            is_known: true,
            result: LEAVES,
        };
        let data = || tcp(PSH | ACK).payload(100);
        let datagram = || udp().payload(100);
        let mut all = vec![
            plain("TCP data of this host leaves", from(data(), OWN, SERVED), false, Answers::Enforce),
            plain("UDP of this host leaves", from(datagram(), OWN, SERVED), false, Answers::Enforce),
        ];
        for (names, answers) in [
            (["forwarded TCP data leaves, ANSWERS off", "forwarded UDP leaves, ANSWERS off"], Answers::Off),
            (["forwarded TCP data leaves", "forwarded UDP leaves"], Answers::Enforce),
        ] {
            let [of_data, of_datagram] = names;
            all.push(plain(of_data, from(data(), BEHIND, UNWATCHED), true, answers));
            all.push(plain(of_datagram, from(datagram(), BEHIND, UNWATCHED), true, answers));
        }
        let question = tcp(SYN).from(&at(HONEST, CLIENT)).to(&at(BEHIND, UNWATCHED)).frame(0);
        let reset = || tcp(RST | ACK).numbers(0, 1);
        for (name, packet, is_known, result) in [
            ("a SYN-ACK of a known port leaves", tcp(SYN | ACK), true, LEAVES),
            ("a SYN-ACK of a new port leaves", tcp(SYN | ACK), false, LEAVES),
            ("a refusal of a known port leaves", reset(), true, LEAVES),
            ("a refusal of a new port leaves", reset(), false, LEAVES),
            ("a refusal of a known port, withheld", reset(), true, WITHHELD),
        ] {
            let frame = from(packet, BEHIND, UNWATCHED);
            let question = Some(question.clone());
            let answers = Answers::Enforce;
            all.push(Self { name, frame, question, is_forwarded: true, answers, is_known, result });
        }
        all
    }

    /// Returns the packets of both address families with their full names.
    pub fn named() -> impl Iterator<Item = (String, Family, Self)> {
        FAMILIES.into_iter().flat_map(|family| {
            Self::all(family)
                .into_iter()
                .map(move |leaving| (format!("{}, {}", leaving.name, family.name()), family, leaving))
        })
    }
}
