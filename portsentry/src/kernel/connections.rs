//! Asks the kernel which established TCP connections a source has with this host (`sock_diag(7)`).

use std::{
    io,
    net::IpAddr,
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};

use ipnet::IpNet;
use nix::sys::{
    socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt,
        socket, sockopt,
    },
    time::{TimeVal, TimeValLike},
};
use portsentry_common::classify::Protocol;

/// `SOCK_DIAG_BY_FAMILY` of the kernel's `include/uapi/linux/sock_diag.h`.
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST` with `NLM_F_DUMP`, and the types `NLMSG_ERROR` and `NLMSG_DONE`, of `include/uapi/linux/netlink.h`.
const DUMP: u16 = 0x301;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// `TCP_ESTABLISHED`, as a bit among the states that are asked for.
const ESTABLISHED: u32 = 1 << 1;
/// `INET_DIAG_REQ_BYTECODE`, and its operation that compares the peer's address, of `include/uapi/linux/inet_diag.h`.
const BYTECODE: u16 = 1;
const PEER: u8 = 8;
const INET: u8 = 2;
const INET6: u8 = 10;
/// Length of a `struct nlmsghdr`.
const HEADER: usize = 16;
/// Where `struct inet_diag_msg` has the local port, in network byte order.
const LOCAL_PORT: usize = 4;
/// How long the kernel may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Returns the local ports of the established TCP connections whose peer is in `peers`.
pub fn established(peers: IpNet) -> io::Result<Vec<u16>> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?;
    let patience = TimeVal::milliseconds(i64::try_from(PATIENCE.as_millis()).unwrap_or(i64::MAX));
    setsockopt(&socket, sockopt::ReceiveTimeout, &patience)?;
    let mut ports = Vec::new();
    // A socket of IPv6 may have an IPv4 peer.
    let families: &[u8] = if peers.addr().is_ipv4() { &[INET, INET6] } else { &[INET6] };
    for family in families {
        dump(&socket, &request(*family, peers), &mut ports)?;
    }
    Ok(ports)
}

fn dump(socket: &OwnedFd, request: &[u8], ports: &mut Vec<u16>) -> io::Result<()> {
    sendto(socket.as_raw_fd(), request, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut buffer = vec![0; 32 << 10];
    loop {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        if read(&buffer[..length], ports)? {
            return Ok(());
        }
    }
}

/// Reads what came, and returns whether that was all.
fn read(mut messages: &[u8], ports: &mut Vec<u16>) -> io::Result<bool> {
    while let Some(header) = messages.first_chunk::<HEADER>() {
        let [a, b, c, d, kind @ ..] = header;
        let length = u32::from_ne_bytes([*a, *b, *c, *d]) as usize;
        let Some(payload) = messages.get(HEADER..length) else { break };
        match u16::from_ne_bytes([kind[0], kind[1]]) {
            DONE => return Ok(true),
            ERROR => {
                let number = payload.first_chunk().map_or(0, |number| i32::from_ne_bytes(*number));
                return Err(io::Error::from_raw_os_error(-number));
            }
            _ => ports.extend(
                payload.get(LOCAL_PORT..).and_then(<[u8]>::first_chunk).map(|port| u16::from_be_bytes(*port)),
            ),
        }
        messages = messages.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// A dump of the sockets of that address family whose peer is in `peers`: the kernel compares, so that a host with many
/// connections needn't copy them all.
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
    let attribute = [
        &u16::try_from(4 + bytecode.len()).unwrap_or_default().to_ne_bytes()[..],
        &BYTECODE.to_ne_bytes(),
        &bytecode,
    ]
    .concat();
    let body =
        [&[family, Protocol::Tcp as u8, 0, 0][..], &ESTABLISHED.to_ne_bytes(), &[0; 48], &attribute].concat();
    let length = u32::try_from(HEADER + body.len()).unwrap_or_default().to_ne_bytes();
    let header = [&length[..], &BY_FAMILY.to_ne_bytes(), &DUMP.to_ne_bytes(), &[0; 8]].concat();
    [header, body].concat()
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
