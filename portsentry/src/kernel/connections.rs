//! Asks the kernel which established TCP connections a source has with this host (`sock_diag(7)`).

use std::{io, net::IpAddr, time::Duration};

use ipnet::IpNet;
use nix::sys::socket::SockProtocol;
use portsentry_common::classify::Protocol;

use crate::netlink::{Socket, written};

/// `SOCK_DIAG_BY_FAMILY` of the kernel's `include/uapi/linux/sock_diag.h`.
const BY_FAMILY: u16 = 20;
/// `TCP_ESTABLISHED`, as a bit among the states that are asked for.
const ESTABLISHED: u32 = 1 << 1;
/// `INET_DIAG_REQ_BYTECODE`, and its operation that compares the peer's address, of `include/uapi/linux/inet_diag.h`.
const BYTECODE: u16 = 1;
const PEER: u8 = 8;
const INET: u8 = 2;
const INET6: u8 = 10;
/// Where `struct inet_diag_msg` has the local port, in network byte order.
const LOCAL_PORT: usize = 4;
/// How long a dump waits for the kernel's next message.
const PATIENCE: Duration = Duration::from_secs(1);

/// Returns the local ports of the established TCP connections whose peer is in `peers`.
pub fn established(peers: IpNet) -> io::Result<Vec<u16>> {
    let mut socket = Socket::open(SockProtocol::NetlinkSockDiag, Some(PATIENCE))?;
    let mut ports = Vec::new();
    // A socket of IPv6 may have an IPv4 peer.
    let families: &[u8] = if peers.addr().is_ipv4() { &[INET, INET6] } else { &[INET6] };
    for family in families {
        // Where the kernel breaks the dump off, the connections before still count.
        socket.dump((BY_FAMILY, &request(*family, peers)), &mut |message| {
            let port = message.body.get(LOCAL_PORT..).and_then(<[u8]>::first_chunk);
            ports.extend(port.map(|port| u16::from_be_bytes(*port)));
        })?;
    }
    Ok(ports)
}

/// Returns the request for the sockets of that address family whose peer is in `peers`. The kernel compares, so that a host
/// with many connections needn't copy them all.
fn request(family: u8, peers: IpNet) -> Vec<u8> {
    let (condition, octets) = match peers.addr() {
        IpAddr::V4(address) => (INET, address.octets().to_vec()),
        IpAddr::V6(address) => (INET6, address.octets().to_vec()),
    };
    // One operation: on "yes" it ends right behind, on "no" four bytes further, which refuses the socket.
    let length = u8::try_from(12 + octets.len()).unwrap_or(u8::MAX);
    let no = (u16::from(length) + 4).to_ne_bytes();
    let any_port = (-1_i32).to_ne_bytes();
    let bytecode =
        [&[PEER, length, no[0], no[1], condition, peers.prefix_len(), 0, 0][..], &any_port, &octets].concat();
    let attribute = written(BYTECODE, &bytecode);
    [&[family, Protocol::Tcp as u8, 0, 0][..], &ESTABLISHED.to_ne_bytes(), &[0; 48], &attribute].concat()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};

    use super::*;

    fn network(text: &str) -> IpNet {
        text.parse().unwrap()
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
            assert!(!established(network(peer)).unwrap().contains(&port), "a listener is no connection");
            let client = TcpStream::connect((to, port)).unwrap();
            let _accepted = listener.accept().unwrap();
            assert!(established(network(peer)).unwrap().contains(&port), "{bound} {to}");
            assert!(!established(network(others)).unwrap().contains(&port), "{bound} {to}");
            drop(client);
        }
    }
}
