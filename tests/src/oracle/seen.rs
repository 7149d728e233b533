//! Classifies a packet by its headers alone: a kind of probe, or none.

use std::{
    net::{IpAddr, SocketAddr},
    time::SystemTime,
};

use portsentry::policy::Sighting;
use portsentry_common::{
    block::Proof,
    classify::{Kind, Protocol},
    decide::Verdict,
};

use super::{
    dissect::{Ip, Packet, Transport},
    sockets::Ends,
};

/// A packet's source, destination and kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub source: IpAddr,
    pub ip: &'a Ip,
    pub packet: &'a Packet,
    pub protocol: Protocol,
    pub kind: Kind,
    pub ports: [u16; 2],
    pub flags: u8,
}

impl Seen<'_> {
    pub fn port(&self) -> u16 {
        self.ports[1]
    }

    pub fn ends(&self) -> Ends {
        Ends {
            ours: SocketAddr::new(self.packet.destination, self.ports[1]),
            theirs: SocketAddr::new(self.source, self.ports[0]),
        }
    }

    /// Whether it is an ACK or FIN+ACK, like packets of any connection.
    pub fn is_of_a_connection(&self) -> bool {
        [Kind::Ack, Kind::Maimon].contains(&self.kind)
    }

    /// Whether the datagram may be an answer. ARCHITECTURE: a datagram counts only if it goes from a client's port
    /// to a well-known one.
    pub fn may_answer_a_datagram(&self) -> bool {
        !(self.ports[0] >= 1024 && self.ports[1] < 1024)
    }
}

/// Returns the probe that the packet would be, if its port were watched and nothing explained it.
pub(super) fn seen<'a>(source: IpAddr, ip: &'a Ip, packet: &'a Packet) -> Option<Seen<'a>> {
    let (protocol, kind, ports, flags) = match packet.transport {
        Transport::Tcp { ports, flags } => (Protocol::Tcp, kind(flags)?, ports, flags),
        Transport::Tiny { ports } => (Protocol::Tcp, Kind::Fragment, ports, 0),
        Transport::Udp { ports } => (Protocol::Udp, Kind::Udp, ports, 0),
        // Its protocol is unknown, so it counts as TCP to port 0.
        Transport::Hidden => (Protocol::Tcp, Kind::Chain, [0, 0], 0),
        Transport::None => return None,
    };
    Some(Seen { source, ip, packet, protocol, kind, ports, flags })
}

/// Does the same, but treats SYN-ACKs and resets as ACKs.
pub(super) fn segment<'a>(source: IpAddr, ip: &'a Ip, packet: &'a Packet) -> Option<Seen<'a>> {
    seen(source, ip, packet).or(match packet.transport {
        Transport::Tcp { ports, flags } => {
            Some(Seen { source, ip, packet, protocol: Protocol::Tcp, kind: Kind::Ack, ports, flags })
        }
        _ => None,
    })
}

/// Returns the kind of a segment by its six control bits, or `None` for SYN-ACKs and resets, which are only
/// answers.
fn kind(flags: u8) -> Option<Kind> {
    let [fin, syn, rst, psh, ack, urg] = [0, 1, 2, 3, 4, 5].map(|place| flags >> place & 1 == 1);
    match (syn, fin, rst, ack) {
        (true, false, false, true) | (false, _, true, _) => None,
        (true, false, false, false) if !psh && !urg => Some(Kind::Syn),
        (false, true, false, true) => Some(Kind::Maimon),
        (false, false, false, true) => Some(Kind::Ack),
        (false, true, false, false) if !psh && !urg => Some(Kind::Fin),
        (false, true, false, false) if psh && urg => Some(Kind::Xmas),
        (false, false, false, false) if !psh && !urg => Some(Kind::Null),
        (true, ..) | (false, _, false, false) => Some(Kind::Unknown),
    }
}

pub(super) fn counter(kind: Kind) -> &'static str {
    match kind {
        Kind::Syn | Kind::Connect => "syn",
        Kind::Fin => "fin",
        Kind::Null => "null",
        Kind::Xmas => "xmas",
        Kind::Unknown => "unknown",
        Kind::Maimon => "maimon",
        Kind::Ack => "ack",
        Kind::Fragment => "fragment",
        Kind::Udp => "udp",
        Kind::Chain => "chain",
    }
}

pub(super) fn sighting(seen: &Seen<'_>, verdict: Verdict, hits: u32) -> Sighting {
    Sighting {
        time: SystemTime::UNIX_EPOCH,
        source: seen.source.to_canonical(),
        destination: seen.packet.destination.to_canonical(),
        source_port: seen.ports[0],
        port: seen.ports[1],
        protocol: seen.protocol,
        kind: seen.kind,
        flags: seen.flags,
        options: Some(seen.packet.has_options),
        interface: 1,
        vlan: seen.ip.vlan,
        length: 0,
        ttl: 0,
        hits,
        verdict,
        proof: Proof::None,
        prefix: 0,
        scan: None,
    }
}
