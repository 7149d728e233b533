//! Packets of suspects: probes of free sources, and packets of fenced sources.

use std::net::{IpAddr, SocketAddr};

use portsentry_common::settings::{FencedSyns, Settings};
use portsentry_tests::frames::{ACK, Checksum, FIN, SYN, tcp};

use crate::{
    paths::{FENCED, HONEST, OWN, SERVED, settings},
    sources::{FAMILIES, Family},
};

/// A SYN to a watched port without a service, answered with a cookie or dropped.
pub const ANSWERED: &str = "a probe, answered";
pub const DROPPED: &str = "a probe, dropped";
/// A watched port without a service.
const UNSERVED: u16 = 7;
/// The numbers of `enum xdp_action`.
const DROP: u32 = 1;
const ANSWER: u32 = 3;
/// A maximum segment size, the only option in the SYNs of nmap and `ZMap`.
const SEGMENT: [u8; 4] = [2, 4, 5, 0xb4];

/// Packets whose costs are compared with that of a packet that xdp-filter drops, and the greatest ratios.
pub const RATIOS: [(&str, Option<f64>); 9] = [
    (DROPPED, Some(1.2)),
    ("a fenced source's FIN, dropped", Some(1.0)),
    ("a fenced source's ACK, dropped", Some(1.0)),
    ("a fenced source's SYN, dropped", Some(1.0)),
    ("a fenced source's SYN, answered", Some(2.2)),
    ("a fenced source's SYN to a service, answered", Some(2.2)),
    ("a SYN to a service", Some(2.0)),
    ("TCP data from a blocked source's neighbour", Some(0.8)),
    (ANSWERED, None),
];

/// The response to SYNs: the settings of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Response {
    /// Probes and fenced sources' SYNs are dropped.
    Drop,
    /// Probes are answered with a cookie.
    Challenge,
    /// The fence is open: fenced sources' SYNs are answered.
    Open,
}

impl Response {
    pub const ALL: [Self; 3] = [Self::Drop, Self::Challenge, Self::Open];

    /// Returns the settings. No further source is fenced, so that each probe takes the full path.
    pub fn settings(self) -> Settings {
        let base = Settings { event_rate: 0, fence_ns: 1, fence_rate: 0, ..settings() };
        match self {
            Self::Drop => base,
            Self::Challenge => Settings { challenge_rate: u32::MAX, ..base },
            Self::Open => Settings {
                challenge_rate: u32::MAX,
                fenced_syns: FencedSyns::Accept as u8,
                syn_rate: u32::MAX,
                session_ns: 180_000_000_000,
                ..base
            },
        }
    }
}

/// A suspect's packet, and the expected result.
#[derive(Clone, Debug)]
pub struct Suspect {
    /// A short description, without the address family.
    pub name: &'static str,
    pub response: Response,
    pub frame: Vec<u8>,
    pub action: u32,
}

impl Suspect {
    /// Returns the packets of this address family.
    pub fn all(family: Family) -> [Self; 7] {
        let suspect = |name, response, (sources, port, flags): ([&str; 2], u16, u8), action| {
            let at = |addresses: [&str; 2], port| {
                let address: IpAddr = addresses[family as usize].parse().expect("an address");
                SocketAddr::new(address, port).to_string()
            };
            let packet = tcp(flags).from(&at(sources, 40_000)).to(&at(OWN, port));
            let packet =
                if flags == SYN && sources == FENCED { packet.tcp_options(&SEGMENT) } else { packet };
            Self { name, response, frame: packet.checksum(Checksum::Right).frame(0), action }
        };
        [
            suspect(ANSWERED, Response::Challenge, (HONEST, UNSERVED, SYN), ANSWER),
            suspect(DROPPED, Response::Drop, (HONEST, UNSERVED, SYN), DROP),
            suspect("a fenced source's FIN, dropped", Response::Open, (FENCED, UNSERVED, FIN), DROP),
            suspect("a fenced source's ACK, dropped", Response::Open, (FENCED, UNSERVED, ACK), DROP),
            suspect("a fenced source's SYN, dropped", Response::Drop, (FENCED, UNSERVED, SYN), DROP),
            suspect("a fenced source's SYN, answered", Response::Open, (FENCED, UNSERVED, SYN), ANSWER),
            suspect(
                "a fenced source's SYN to a service, answered",
                Response::Open,
                (FENCED, SERVED, SYN),
                ANSWER,
            ),
        ]
    }

    /// Returns the packets of both address families with the names of their paths.
    pub fn named() -> impl Iterator<Item = (String, Self)> {
        FAMILIES.into_iter().flat_map(|family| {
            Self::all(family).map(|suspect| (format!("{}, {}", suspect.name, family.name()), suspect))
        })
    }
}
