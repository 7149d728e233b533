//! The important paths through the kernel program.

use std::net::SocketAddr;

use portsentry_common::settings::{AckProbes, Response, Settings};
use portsentry_tests::frames::{ACK, PSH, Packet, RST, SYN, tcp, udp};

/// A packet, and the expected result.
#[derive(Clone, Debug)]
pub struct Path {
    /// A short description.
    pub name: &'static str,
    /// The packet.
    pub packet: Packet,
    /// Whether it passes.
    pub passes: bool,
}

/// A blocked source of each address family.
pub const BLOCKED: [&str; 2] = ["192.0.2.66", "2001:db8:bad::66"];
/// An honest source beside it, whose bit in the gate is set.
pub const NEIGHBOURS: [&str; 2] = ["192.0.2.67", "2001:db8:bad::67"];
/// An honest source of each address family that shares no bit of the gate with a blocked one.
pub const HONEST: [&str; 2] = ["203.0.113.9", "2001:db8:900d::1"];
/// A fenced source that shares no bit of the gate with a blocked one.
pub const FENCED: [&str; 2] = ["203.0.120.77", "2001:db8:fe2c::77"];
/// The host's own addresses.
pub const OWN: [&str; 2] = ["198.51.100.1", "2001:db8::1"];
/// The port of its services, over TCP and UDP.
pub const SERVED: u16 = 443;
/// A port that is not watched.
pub const UNWATCHED: u16 = 113;

/// Returns the paths, the same for IPv4 and IPv6.
#[must_use]
pub fn paths() -> Vec<Path> {
    let v4 = |port: u16| format!("198.51.100.1:{port}");
    let v6 = |port: u16| format!("[2001:db8::1]:{port}");
    let data = || tcp(PSH | ACK).payload(100);
    let datagram = || udp().payload(100);
    let sent_by = |sources: [&str; 2], packet: Packet| {
        let source = sources[usize::from(packet.destination().is_ipv6())];
        packet.from(&SocketAddr::new(source.parse().expect("an address"), 40_000).to_string())
    };
    let honest = |packet| sent_by(HONEST, packet);
    let blocked = |packet| sent_by(BLOCKED, packet);
    let neighbour = |name, packet| Path { name, packet: sent_by(NEIGHBOURS, packet), passes: true };
    let path = |name, packet| Path { name, packet: honest(packet), passes: true };
    let gone = |name, packet| Path { name, packet: blocked(packet), passes: false };
    vec![
        path("TCP data to a service, IPv4", data().to(&v4(SERVED))),
        path("TCP data to a service, IPv6", data().to(&v6(SERVED))),
        path("UDP to a service, IPv4", datagram().to(&v4(SERVED))),
        path("UDP to a service, IPv6", datagram().to(&v6(SERVED))),
        path("TCP data to a service, IPv4 in a VLAN", data().to(&v4(SERVED)).vlan(7)),
        path("TCP data to a service, IPv6 in a VLAN", data().to(&v6(SERVED)).vlan(7)),
        path("forwarded TCP data, IPv4", data().to("203.0.113.80:443")),
        path("forwarded TCP data, IPv6", data().to("[2001:db8:f::80]:443")),
        path("TCP data to a port that isn't watched, IPv4", data().to(&v4(UNWATCHED))),
        path("TCP data to a port that isn't watched, IPv6", data().to(&v6(UNWATCHED))),
        path("UDP to a port that isn't watched, IPv4", datagram().to(&v4(UNWATCHED))),
        path("UDP to a port that isn't watched, IPv6", datagram().to(&v6(UNWATCHED))),
        neighbour("TCP data from a blocked source's neighbour, IPv4", data().to(&v4(SERVED))),
        neighbour("TCP data from a blocked source's neighbour, IPv6", data().to(&v6(SERVED))),
        path("a reset, IPv4", tcp(RST).to(&v4(SERVED))),
        path("a reset, IPv6", tcp(RST).to(&v6(SERVED))),
        path("a SYN to a service, IPv4", tcp(SYN).to(&v4(SERVED))),
        path("a SYN to a service, IPv6", tcp(SYN).to(&v6(SERVED))),
        path("no IP", data().to(&v4(SERVED)).announced_as(0x0806)),
        gone("a blocked source, IPv4", tcp(SYN).to(&v4(1))),
        gone("a blocked source, IPv6", tcp(SYN).to(&v6(1))),
        gone("a blocked source, IPv4 in a VLAN", tcp(SYN).to(&v4(1)).vlan(7)),
        gone("a blocked source, IPv6 in a VLAN", tcp(SYN).to(&v6(1)).vlan(7)),
    ]
}

/// Returns the settings for most paths.
#[must_use]
pub fn settings() -> Settings {
    Settings {
        event_rate: 1000,
        trigger: 1,
        tcp_response: Response::Block as u8,
        udp_response: Response::Block as u8,
        ack_probes: AckProbes::Report as u8,
        remembers: 1,
        keeps_served: 1,
        ..Settings::UNSET
    }
}
