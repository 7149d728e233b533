//! Queries the kernel for a source's established TCP connections with this host (`sock_diag(7)`).

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use nix::sys::socket::SockProtocol;
use portsentry_common::classify::Protocol;

use crate::netlink::{Socket, written};

/// `SOCK_DIAG_BY_FAMILY` (`include/uapi/linux/sock_diag.h` in the kernel).
const BY_FAMILY: u16 = 20;
/// `TCP_ESTABLISHED`, as a bit among the requested states.
const ESTABLISHED: u32 = 1 << 1;
/// `INET_DIAG_REQ_BYTECODE`, and its operations that compare the socket's own end and the peer's
/// (`include/uapi/linux/inet_diag.h` in the kernel).
const BYTECODE: u16 = 1;
const OWN: u8 = 7;
const PEER: u8 = 8;
const UNSPECIFIED: u8 = 0;
const INET: u8 = 2;
const INET6: u8 = 10;
/// Offsets in `struct inet_diag_msg` of the address family, the local and the peer's port (network byte order), the
/// peer's address, and the socket's inode.
const FAMILY: usize = 0;
const LOCAL_PORT: usize = 4;
const PEER_PORT: usize = 6;
const PEER_ADDRESS: usize = 24;
const INODE: usize = 68;
/// Maximum time that a dump waits for the kernel's next message.
const PATIENCE: Duration = Duration::from_secs(1);

/// An established TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The peer's end.
    pub peer: SocketAddr,
    /// The local port.
    pub port: u16,
    /// The inode of the socket, by which its process holds it.
    pub inode: u32,
}

/// Returns all established TCP connections, or none if the kernel can't list them.
#[must_use]
pub fn all_established() -> Vec<Connection> {
    let networks = [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())];
    networks.into_iter().flat_map(|peers| established(peers).unwrap_or_default()).collect()
}

/// Returns the established TCP connections whose peer is in `peers`.
pub fn established(peers: IpNet) -> io::Result<Vec<Connection>> {
    // An IPv6 socket may have an IPv4 peer.
    let families: &[u8] = if peers.addr().is_ipv4() { &[INET, INET6] } else { &[INET6] };
    list(families, &of_peers(peers))
}

/// Returns the established TCP connections to this port of the host.
pub fn established_at(port: u16) -> io::Result<Vec<Connection>> {
    list(&[INET, INET6], &operation(OWN, [UNSPECIFIED, 0], port.into(), &[]))
}

/// Lists the sockets of these address families that match the filter. The kernel filters them, so that a host with
/// many connections need not copy all.
fn list(families: &[u8], filter: &[u8]) -> io::Result<Vec<Connection>> {
    let mut socket = Socket::open(SockProtocol::NetlinkSockDiag, Some(PATIENCE))?;
    let mut connections = Vec::new();
    for family in families {
        // If the kernel breaks off the dump, the connections before that still count.
        socket.dump((BY_FAMILY, &request(*family, filter)), &mut |message| {
            connections.extend(connection(message.body));
        })?;
    }
    Ok(connections)
}

/// Reads a connection's `struct inet_diag_msg`. An IPv4 peer of an IPv6 socket is an IPv4 address.
fn connection(body: &[u8]) -> Option<Connection> {
    let port = |at: usize| body.get(at..)?.first_chunk().map(|port| u16::from_be_bytes(*port));
    let address = body.get(PEER_ADDRESS..)?;
    let address = if *body.get(FAMILY)? == INET {
        IpAddr::from(*address.first_chunk::<4>()?)
    } else {
        IpAddr::from(*address.first_chunk::<16>()?).to_canonical()
    };
    let inode = u32::from_ne_bytes(*body.get(INODE..)?.first_chunk()?);
    Some(Connection { peer: SocketAddr::new(address, port(PEER_PORT)?), port: port(LOCAL_PORT)?, inode })
}

/// Returns the filter for sockets whose peer is in `peers`.
fn of_peers(peers: IpNet) -> Vec<u8> {
    let (family, octets) = match peers.addr() {
        IpAddr::V4(address) => (INET, address.octets().to_vec()),
        IpAddr::V6(address) => (INET6, address.octets().to_vec()),
    };
    operation(PEER, [family, peers.prefix_len()], -1, &octets)
}

/// Returns a filter of one operation, which compares one end with the prefix of an address, and a port (-1: any).
fn operation(end: u8, [family, prefix]: [u8; 2], port: i32, octets: &[u8]) -> Vec<u8> {
    // On "yes" it continues right after itself, on "no" four bytes further, which rejects the socket.
    let length = u8::try_from(12 + octets.len()).unwrap_or(u8::MAX);
    let no = (u16::from(length) + 4).to_ne_bytes();
    [&[end, length, no[0], no[1], family, prefix, 0, 0][..], &port.to_ne_bytes(), octets].concat()
}

/// Returns the request for the established connections of this address family that match the filter.
fn request(family: u8, filter: &[u8]) -> Vec<u8> {
    let attribute = written(BYTECODE, filter);
    [&[family, Protocol::Tcp as u8, 0, 0][..], &ESTABLISHED.to_ne_bytes(), &[0; 48], &attribute].concat()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};

    use super::*;

    fn network(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn has(peers: IpNet, port: u16) -> bool {
        established(peers).unwrap().iter().any(|found| peers.contains(&found.peer.ip()) && found.port == port)
    }

    #[test]
    fn connections_are_found_by_their_peer() {
        for (bound, to, peer, others) in [
            (IpAddr::from(Ipv4Addr::LOCALHOST), "127.0.0.1", "127.0.0.1/32", "192.0.2.0/24"),
            (Ipv6Addr::LOCALHOST.into(), "::1", "::1/128", "2001:db8::/64"),
            (Ipv6Addr::UNSPECIFIED.into(), "127.0.0.1", "127.0.0.0/8", "192.0.2.1/32"),
        ] {
            let Ok(listener) = TcpListener::bind((bound, 0)) else { continue };
            let port = listener.local_addr().unwrap().port();
            assert!(!has(network(peer), port), "a listener is no connection");
            let client = TcpStream::connect((to, port)).unwrap();
            let _accepted = listener.accept().unwrap();
            assert!(has(network(peer), port), "{bound} {to}");
            assert!(
                established_at(port).unwrap().iter().any(|found| network(peer).contains(&found.peer.ip()))
            );
            assert!(!has(network(others), port), "{bound} {to}");
            let other = client.local_addr().unwrap().port();
            assert!(established_at(other).unwrap().iter().all(|found| found.port == other));
            drop(client);
        }
    }
}
