//! The host to which every frame is addressed: its addresses, watched ports, networks and sockets.
//!
//! All addresses are from the documentation networks (RFC 5737, RFC 3849).

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use ipnet::IpNet;
use portsentry::policy::scope::Exempt;
use portsentry_common::{
    classify::Protocol::{self, Tcp, Udp},
    environment::Locality,
};

use crate::{sent::Sent, sockets::Socket};

/// The host's own addresses.
pub const OWN: [&str; 5] = ["198.51.100.1", "198.51.100.2", "203.0.113.1", "2001:db8::1", "2001:db8::2"];
/// Peers' addresses, from which real connections to the host's sockets are made.
pub const PEERS: [&str; 2] = ["192.0.2.200", "2001:db8:bad::c8"];
/// Networks behind this host. One of the host's own addresses is in the first.
const PROTECTED: [&str; 2] = ["203.0.113.0/24", "2001:db8:100::/48"];
/// IPv6 networks of the host's links.
const NEIGHBOURS: [&str; 1] = ["2001:db8:5::/64"];
const IGNORED: [&str; 2] = ["192.0.2.240/28", "2001:db8:fee::/48"];

/// Ports watched by list.
const LISTED: [(Protocol, &[u16]); 2] = [(Tcp, &[1025, 8080, 65_535]), (Udp, &[1025, 1900, 65_535])];
/// Ports below 1024 that are not watched in advanced mode.
const EXCLUDED: [(Protocol, u16); 2] = [(Tcp, 113), (Udp, 520)];

/// Whether the port is watched by list.
#[must_use]
pub fn is_listed(protocol: Protocol, port: u16) -> bool {
    LISTED.iter().any(|(listed, ports)| *listed == protocol && ports.contains(&port))
}

/// Whether the port is watched in advanced mode.
#[must_use]
pub fn is_advanced(protocol: Protocol, port: u16) -> bool {
    (1..1024).contains(&port) && !EXCLUDED.contains(&(protocol, port))
}

/// Whether advanced mode excludes the port.
#[must_use]
pub fn is_excluded(protocol: Protocol, port: u16) -> bool {
    EXCLUDED.contains(&(protocol, port))
}

/// Returns the networks with their owners.
#[must_use]
pub fn local() -> BTreeMap<IpNet, Locality> {
    let own = OWN.into_iter().map(|address| (IpNet::from(ip(address)), Locality::Own));
    let protected = PROTECTED.into_iter().map(|network| (net(network), Locality::Protected));
    own.chain(protected).collect()
}

/// The networks that are never blocked.
#[must_use]
pub fn ignored() -> BTreeMap<IpNet, Exempt> {
    let own = OWN.into_iter().map(|address| (IpNet::from(ip(address)), Exempt::Own));
    let ignored = IGNORED.into_iter().map(|network| (net(network), Exempt::Ignored));
    own.chain(ignored).collect()
}

/// Returns the IPv6 networks of the host's links, in which each address counts as a separate source.
#[must_use]
pub fn neighbours() -> Vec<IpNet> {
    NEIGHBOURS.into_iter().map(net).collect()
}

/// Returns the open sockets, in the order in which they can be opened.
#[must_use]
pub fn sockets() -> Vec<Socket> {
    [connections(), services()].concat()
}

/// Sockets that explain packets from any source, or none at all.
#[must_use]
pub fn services() -> Vec<Socket> {
    let listeners = [
        "198.51.100.1:22",
        "0.0.0.0:80",
        "[::]:443",
        "[2001:db8::1]:25",
        "127.0.0.1:631",
        "[::1]:631",
        "203.0.113.1:22",
    ];
    let bound =
        ["198.51.100.1:53", "0.0.0.0:123", "[::]:161", "[2001:db8::1]:53", "127.0.0.1:323", "[::1]:323"];
    let listeners = listeners.map(|at| Socket::Listener(at.parse().expect("an address and port")));
    let bound = bound.map(|at| Socket::Bound(at.parse().expect("an address and port")));
    listeners.into_iter().chain(bound).collect()
}

/// Sockets that explain only packets of their peers.
fn connections() -> Vec<Socket> {
    let pair = |local: &str, peer: &str| {
        (local.parse().expect("an address and port"), peer.parse().expect("an address and port"))
    };
    vec![
        Socket::TimeWait(pair("198.51.100.1:990", "192.0.2.200:50001")),
        Socket::TimeWait(pair("198.51.100.1:80", "192.0.2.200:50002")),
        Socket::TimeWait(pair("[2001:db8::1]:990", "[2001:db8:bad::c8]:50001")),
        Socket::Connection(pair("198.51.100.1:8080", "192.0.2.200:50000")),
        Socket::Connection(pair("[2001:db8::1]:8080", "[2001:db8:bad::c8]:50000")),
        Socket::Connected(pair("198.51.100.1:1025", "192.0.2.200:53")),
        Socket::Connected(pair("[2001:db8::1]:1025", "[2001:db8:bad::c8]:53")),
    ]
}

/// Addresses served a moment ago, or by sockets that no look-up finds because they are bound to a device above the
/// receiving interface.
#[must_use]
pub fn served() -> Vec<(Protocol, SocketAddr, Option<u32>)> {
    const HERE: u32 = 1;
    const ELSEWHERE: u32 = 7;
    [
        (Tcp, "0.0.0.0:110", None),
        (Tcp, "[::]:143", None),
        (Udp, "0.0.0.0:514", None),
        (Tcp, "198.51.100.1:21", None),
        (Tcp, "[2001:db8::1]:21", None),
        (Udp, "198.51.100.1:69", None),
        (Tcp, "0.0.0.0:8080", Some(HERE)),
        (Tcp, "[::]:1025", Some(HERE)),
        (Tcp, "198.51.100.1:79", Some(HERE)),
        (Udp, "198.51.100.2:1900", Some(HERE)),
        (Udp, "198.51.100.1:500", Some(HERE)),
        (Udp, "[2001:db8::1]:500", Some(HERE)),
        (Tcp, "0.0.0.0:513", Some(ELSEWHERE)),
        (Udp, "198.51.100.1:111", Some(ELSEWHERE)),
    ]
    .map(|(protocol, at, interface)| (protocol, at.parse().expect("an address and port"), interface))
    .into()
}

/// The sockets of [`served`] that accept only their peer's datagrams.
#[must_use]
pub fn connected() -> Vec<SocketAddr> {
    ["198.51.100.1:500", "[2001:db8::1]:500"].map(|at| at.parse().expect("an address and port")).into()
}

/// Addresses whose service stopped too long ago to count.
#[must_use]
pub fn over() -> Vec<(Protocol, SocketAddr)> {
    [(Tcp, "0.0.0.0:65535"), (Tcp, "198.51.100.1:7"), (Udp, "[::]:7")]
        .map(|(protocol, at)| (protocol, at.parse().expect("an address and port")))
        .into()
}

/// Returns the packets that the host sent a moment ago.
#[must_use]
pub fn sent() -> Vec<Sent> {
    [
        (Udp, 0, "198.51.100.1:990", "192.0.2.200:53", false),
        (Udp, 0, "[2001:db8::1]:990", "[2001:db8:bad::c8]:53", false),
        // Sent from an ephemeral port, so their receiver may send from any port to the same port number here.
        (Udp, 0, "198.51.100.1:40000", "192.0.2.200:1900", false),
        (Udp, 0, "[2001:db8::1]:40000", "[2001:db8:bad::c8]:25", false),
        // Sent by hosts behind this one.
        (Tcp, 16, "198.51.100.2:1023", "192.0.2.200:50000", true),
        (Tcp, 18, "198.51.100.2:23", "192.0.2.200:50001", true),
        (Tcp, 18, "[2001:db8::2]:23", "[2001:db8:bad::c8]:50001", true),
        // These have no effect: the host's own connection, a reset, and a packet from an address that isn't the
        // host's.
        (Tcp, 18, "198.51.100.1:23", "192.0.2.200:50001", false),
        (Tcp, 4, "198.51.100.2:25", "192.0.2.200:50000", true),
        (Udp, 0, "198.51.100.99:520", "192.0.2.200:53", true),
    ]
    .map(|(protocol, flags, local, remote, is_forwarded)| {
        let end = |text: &str| text.parse().expect("an address and port");
        Sent { protocol, flags, local: end(local), remote: end(remote), is_forwarded }
    })
    .into()
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn net(text: &str) -> IpNet {
    text.parse().expect("a network")
}
