//! Lists the bound sockets of this network namespace by `sock_diag(7)`.

use std::{io, net::IpAddr};

use bytemuck::{Pod, Zeroable};
use nix::sys::socket::SockProtocol;
use portsentry_common::classify::Protocol;

use super::PATIENCE;
use crate::netlink::{Socket, attribute, attributes, written};

/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
/// Numbers of address families, `AF_INET` and `AF_INET6`.
const FAMILIES: [u8; 2] = [2, 10];
/// Bits for TCP's states, which UDP uses, too: `TCP_ESTABLISHED` if connected, `TCP_CLOSE` if not.
const ESTABLISHED: u32 = 1 << 1;
const CLOSE: u32 = 1 << 7;
const LISTEN: u32 = 1 << 10;
/// Attributes of `include/uapi/linux/inet_diag.h`: a filter, whether a socket accepts only IPv6, and the upper-layer
/// protocol with its name.
const BYTECODE: u16 = 1;
const IPV6_ONLY: u16 = 11;
const UPPER_LAYER: u16 = 19;
const UPPER_LAYER_NAME: u16 = 1;
/// Requests, among others, the upper-layer protocol of TCP sockets (`INET_DIAG_INFO`).
const INFO: u8 = 1 << 1;
/// The name for listeners of Multipath TCP. The kernel shows it only to privileged processes.
const MULTIPATH: &[u8] = b"mptcp\0";

/// A socket that accepts packets to its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundSocket {
    /// Its transport protocol.
    pub protocol: Protocol,
    /// Its own address, or the unspecified one.
    pub address: IpAddr,
    /// Its own port.
    pub port: u16,
    /// The device to which it is bound, or 0.
    pub device: u32,
    /// Whether it accepts IPv6 only.
    pub is_ipv6_only: bool,
    /// Whether it accepts only its peer's packets.
    pub is_connected: bool,
    /// Whether it listens for Multipath TCP.
    pub is_multipath: bool,
}

/// `struct inet_diag_sockid`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Id {
    port: [u8; 2],
    peer_port: [u8; 2],
    address: [u8; 16],
    peer: [u8; 16],
    device: u32,
    cookie: [u32; 2],
}

/// `struct inet_diag_req_v2`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Request {
    family: u8,
    protocol: u8,
    extensions: u8,
    pad: u8,
    states: u32,
    id: Id,
}

/// `struct inet_diag_msg`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Answer {
    family: u8,
    state: u8,
    timer: u8,
    retransmits: u8,
    id: Id,
    expires: u32,
    queues: [u32; 2],
    user: u32,
    inode: u32,
}

/// Lists sockets.
#[derive(Debug)]
pub struct Sockets {
    netlink: Socket,
    /// The filter for UDP sockets.
    filter: Vec<u8>,
    ephemeral: (u16, u16),
}

impl Sockets {
    /// Opens a socket. UDP sockets on ports within `ephemeral` are omitted: there may be many, and datagrams to
    /// them are answers.
    pub fn open(ephemeral: (u16, u16)) -> io::Result<Self> {
        Ok(Self {
            netlink: Socket::open(SockProtocol::NetlinkSockDiag, Some(PATIENCE))?,
            filter: outside(ephemeral),
            ephemeral,
        })
    }

    /// Whether the kernel may assign `port` to a socket that requests no port.
    pub(super) fn is_ephemeral(&self, port: u16) -> bool {
        (self.ephemeral.0..=self.ephemeral.1).contains(&port)
    }

    /// Lists listening TCP sockets and bound UDP sockets.
    pub fn list(&mut self) -> io::Result<Vec<BoundSocket>> {
        let mut sockets = Vec::new();
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let (states, extensions, filter) = match protocol {
                Protocol::Tcp => (LISTEN, INFO, [].as_slice()),
                Protocol::Udp => (CLOSE | ESTABLISHED, 0, self.filter.as_slice()),
            };
            for family in FAMILIES {
                let protocol_number = protocol as u8;
                let request =
                    Request { family, protocol: protocol_number, extensions, states, ..Request::zeroed() };
                let request = [bytemuck::bytes_of(&request), filter].concat();
                self.netlink.list((BY_FAMILY, &request), BY_FAMILY, |body| {
                    sockets.extend(read(protocol, body));
                })?;
            }
        }
        Ok(sockets)
    }
}

fn read(protocol: Protocol, body: &[u8]) -> Option<BoundSocket> {
    let (answer, rest) = body.split_at_checked(size_of::<Answer>())?;
    let Answer { family, state, id, .. } = bytemuck::pod_read_unaligned(answer);
    let address = match family {
        2 => IpAddr::from(*id.address.first_chunk::<4>()?),
        // A socket bound to an IPv4-mapped address accepts IPv4.
        _ => IpAddr::from(id.address).to_canonical(),
    };
    Some(BoundSocket {
        protocol,
        address,
        port: u16::from_be_bytes(id.port),
        device: id.device,
        is_ipv6_only: attributes(rest).any(|(kind, value)| kind == IPV6_ONLY && value != [0]),
        is_connected: 1 << state == ESTABLISHED,
        is_multipath: attribute(rest, UPPER_LAYER).and_then(|within| attribute(within, UPPER_LAYER_NAME))
            == Some(MULTIPATH),
    })
}

/// Returns the filter for ports below `first` and above `last`, as an attribute. Each condition holds the offsets
/// for yes and no (`struct inet_diag_bc_op`). Reaching the end accepts a socket; jumping beyond it rejects one. For
/// all ports the filter is empty.
fn outside((first, last): (u16, u16)) -> Vec<u8> {
    const JUMP: u8 = 1;
    const FROM: u8 = 2;
    const UP_TO: u8 = 3;
    if first == 0 || last < first {
        return Vec::new();
    }
    let operation = |code: u8, yes: u8, no: u16| [&[code, yes], no.to_ne_bytes().as_slice()].concat();
    let port = |port: u16| operation(0, 0, port);
    // If there is no port above `last`, the second condition never holds.
    let above = last.checked_add(1).map_or_else(
        || [operation(UP_TO, 8, 12), port(0)].concat(),
        |above| [operation(FROM, 8, 12), port(above)].concat(),
    );
    let code = [operation(UP_TO, 8, 12), port(first - 1), operation(JUMP, 4, 12), above].concat();
    written(BYTECODE, &code)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    fn listed(sockets: &[BoundSocket], protocol: Protocol, port: u16) -> Vec<BoundSocket> {
        let of_port = |socket: &&BoundSocket| (socket.protocol, socket.port) == (protocol, port);
        sockets.iter().filter(of_port).copied().collect()
    }

    #[test]
    fn sockets_are_listed_with_what_they_are_bound_to() {
        let tcp = TcpListener::bind("[::1]:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let [tcp, udp_port] =
            [&tcp.local_addr().unwrap(), &udp.local_addr().unwrap()].map(std::net::SocketAddr::port);
        let all = Sockets::open((0, 0)).unwrap().list().unwrap();
        let [found] = listed(&all, Protocol::Tcp, tcp)[..] else { panic!("port {tcp}: {all:?}") };
        assert_eq!((found.address, found.device, found.is_connected), ("::1".parse().unwrap(), 0, false));
        let [found] = listed(&all, Protocol::Udp, udp_port)[..] else { panic!("port {udp_port}: {all:?}") };
        assert_eq!((found.address, found.is_connected), ("127.0.0.1".parse().unwrap(), false));
        udp.connect("127.0.0.1:9").unwrap();
        let all = Sockets::open((0, 0)).unwrap().list().unwrap();
        assert!(listed(&all, Protocol::Udp, udp_port)[0].is_connected);
    }

    #[test]
    fn listeners_of_multipath_tcp_are_recognised() {
        let multipath = socket2::Protocol::MPTCP;
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, Some(multipath)).unwrap();
        socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
        socket.listen(1).unwrap();
        let plain = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        let all = Sockets::open((0, 0)).unwrap().list().unwrap();
        // The kernel doesn't show it to other users.
        let is_root = nix::unistd::geteuid().is_root();
        assert_eq!(listed(&all, Protocol::Tcp, port)[0].is_multipath, is_root);
        assert!(!listed(&all, Protocol::Tcp, plain).iter().any(|socket| socket.is_multipath));
    }

    #[test]
    fn ephemeral_datagram_sockets_are_left_out() {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = udp.local_addr().unwrap().port();
        for (ephemeral, expected) in [
            ((port, port), 0),
            ((1, u16::MAX), 0),
            ((1, port), 0),
            ((port, u16::MAX), 0),
            ((port + 1, u16::MAX), 1),
            ((1, port - 1), 1),
            ((0, 0), 1),
            ((9, 8), 1),
        ] {
            let all = Sockets::open(ephemeral).unwrap().list().unwrap();
            assert_eq!(listed(&all, Protocol::Udp, port).len(), expected, "{port} outside {ephemeral:?}");
        }
    }
}
