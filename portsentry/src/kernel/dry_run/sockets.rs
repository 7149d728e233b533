//! Looks up single sockets by `sock_diag(7)`, which uses the same look-up as the kernel program's helpers
//! (`inet_diag_find_one_icsk` and `udp_dump_one` in the kernel), including other programs' `sk_lookup`.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use nix::sys::socket::SockProtocol;
use portsentry_common::{address::Address, classify::Protocol, flow::Flow};

use crate::netlink::Socket;

/// `SOCK_DIAG_BY_FAMILY` (`include/uapi/linux/sock_diag.h` in the kernel).
const BY_FAMILY: u16 = 20;
const INET: u8 = 2;
const INET6: u8 = 10;
/// `TCP_TIME_WAIT` (`include/net/tcp_states.h` in the kernel).
pub(super) const TIME_WAIT: u8 = 6;
/// Value of the timer of a socket in TIME-WAIT, whose state may also be FIN-WAIT-2 (`inet_twsk_diag_fill`).
const WAITING: u8 = 3;
/// Maximum time that the kernel's answer may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// A socket that would receive a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundSocket {
    /// Its state, as in `include/net/tcp_states.h`.
    pub state: u8,
    /// Its own end.
    pub local: SocketAddr,
    /// The other end's port, or 0 if it isn't connected.
    pub peer_port: u16,
    /// Its inode, by which its process holds it; 0 without a process.
    pub inode: u32,
}

/// Returns the socket that a packet of `flow` would reach if it came from `source_port` through `interface`.
pub(super) fn find<A: Address>(
    flow: &Flow<A>,
    source_port: u16,
    interface: u32,
) -> io::Result<Option<FoundSocket>> {
    let here = (octets(flow.destination), flow.probe.port);
    let there = (octets(flow.source), source_port);
    // For UDP the kernel takes them the other way round, "for historical reasons".
    let ends = if flow.probe.protocol == Protocol::Udp { [there, here] } else { [here, there] };
    let family = if A::VERSION == 4 { INET } else { INET6 };
    let [first, second] = ends.map(|(octets, port)| (octets, port.to_be_bytes()));
    let request = [
        &[family, flow.probe.protocol as u8, 0, 0][..],
        &u32::MAX.to_ne_bytes(),
        &first.1,
        &second.1,
        &first.0,
        &second.0,
        &interface.to_ne_bytes(),
        // `INET_DIAG_NOCOOKIE`, twice.
        &[0xff; 8],
    ]
    .concat();
    let mut socket = Socket::open(SockProtocol::NetlinkSockDiag, Some(PATIENCE))?;
    Ok(socket.ask((BY_FAMILY, &request))?.and_then(|body| read(&body)))
}

/// Returns the address in 16 octets; an IPv4 address comes first.
fn octets<A: Address>(address: A) -> [u8; 16] {
    let mapped = address.to_mapped().octets;
    if A::VERSION == 6 {
        return mapped;
    }
    let mut octets = [0; 16];
    octets[..4].copy_from_slice(&mapped[12..]);
    octets
}

/// Reads a `struct inet_diag_msg`.
fn read(body: &[u8]) -> Option<FoundSocket> {
    let port = |at: usize| body.get(at..)?.first_chunk().map(|port| u16::from_be_bytes(*port));
    let [family, state, timer] = *body.first_chunk::<3>()?;
    let address = body.get(8..24)?;
    let address = match family {
        INET => IpAddr::from(Ipv4Addr::from(*address.first_chunk::<4>()?)),
        _ => IpAddr::from(Ipv6Addr::from(*address.first_chunk::<16>()?)),
    };
    Some(FoundSocket {
        state: if timer == WAITING { TIME_WAIT } else { state },
        local: SocketAddr::new(address, port(4)?),
        peer_port: port(6)?,
        inode: u32::from_ne_bytes(*body.get(68..)?.first_chunk()?),
    })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use portsentry_common::{
        address::{Ipv4, Ipv6},
        classify::{Kind, Probe},
    };

    use super::*;

    fn flow<A: Address>(address: A, protocol: Protocol, source_port: u16, port: u16) -> Flow<A> {
        let probe = Probe { protocol, kind: Kind::Syn, source_port, port, flags: 2 };
        Flow { source: address, destination: address, probe }
    }

    #[test]
    fn sockets_are_found_by_the_packets_that_reach_them() {
        const LISTEN: u8 = 10;
        const ESTABLISHED: u8 = 1;
        let v4 = Ipv4::from(Ipv4Addr::LOCALHOST);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = |source_port| find(&flow(v4, Protocol::Tcp, source_port, port), source_port, 1).unwrap();
        assert_eq!(
            state(9).map(|found| (found.state, found.local)),
            Some((LISTEN, listener.local_addr().unwrap()))
        );
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let source_port = client.local_addr().unwrap().port();
        assert_eq!(
            state(source_port).map(|found| (found.state, found.peer_port)),
            Some((ESTABLISHED, source_port))
        );
        assert!(state(source_port).unwrap().inode == 0, "nobody has accepted it yet");
        drop(listener);
        assert_eq!(find(&flow(v4, Protocol::Tcp, 9, port), 9, 1).unwrap(), None);
    }

    #[test]
    fn datagrams_reach_sockets_of_their_family() {
        let v6 = Ipv6::from(Ipv6Addr::LOCALHOST);
        let Ok(socket) = UdpSocket::bind("[::1]:0") else { return };
        let port = socket.local_addr().unwrap().port();
        let found = find(&flow(v6, Protocol::Udp, 9, port), 9, 1).unwrap().unwrap();
        assert_eq!((found.local, found.peer_port), (socket.local_addr().unwrap(), 0));
        assert!(found.inode != 0);
        let v4 = Ipv4::from(Ipv4Addr::LOCALHOST);
        assert_eq!(find(&flow(v4, Protocol::Udp, 9, port), 9, 1).unwrap(), None);
        socket.connect("[::1]:9").unwrap();
        assert_eq!(
            find(&flow(v6, Protocol::Udp, 9, port), 9, 1).unwrap().map(|found| found.peer_port),
            Some(9)
        );
    }
}
