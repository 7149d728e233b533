//! The sockets of the connect modes' traps, to which the kernel steers connections and datagrams.

mod datagram;
mod guest;
mod serving;

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    os::fd::AsRawFd,
    sync::mpsc::SyncSender,
};

use nix::sys::socket::{setsockopt, sockopt};
use portsentry_common::classify::Protocol;
use socket2::{Domain, Socket, Type};

use self::serving::Server;
pub use self::serving::Serving;
use super::message::Message;
use crate::{
    kernel::{TrapSlot, handshake},
    policy::Banner,
};

/// Length of the listener's queue.
const BACKLOG: i32 = 4096;

/// The sockets of the traps. They are bound to loopback addresses, so that no client reaches them unless steered.
#[derive(Debug)]
pub struct Sockets {
    tcp: Vec<(TrapSlot, TcpListener)>,
    udp: Vec<(TrapSlot, UdpSocket)>,
}

impl Sockets {
    /// Opens the sockets. Without IPv6 on this host, those for IPv4 suffice.
    pub fn open(tcp: bool, udp: bool) -> io::Result<Self> {
        let mut sockets = Self { tcp: Vec::new(), udp: Vec::new() };
        if tcp {
            sockets.tcp.push((TrapSlot::TcpV4, listener(Ipv4Addr::LOCALHOST.into())?));
            sockets.tcp.extend(listener(Ipv6Addr::LOCALHOST.into()).ok().map(|it| (TrapSlot::TcpV6, it)));
        }
        if udp {
            sockets.udp.push((TrapSlot::UdpV4, datagrams(Ipv4Addr::LOCALHOST.into())?));
            sockets.udp.extend(datagrams(Ipv6Addr::LOCALHOST.into()).ok().map(|it| (TrapSlot::UdpV6, it)));
        }
        Ok(sockets)
    }

    /// Returns each socket with its slot in the kernel's map.
    pub fn places(&self) -> Vec<(TrapSlot, &dyn AsRawFd)> {
        let tcp = self.tcp.iter().map(|(place, socket)| (*place, socket as &dyn AsRawFd));
        tcp.chain(self.udp.iter().map(|(place, socket)| (*place, socket as &dyn AsRawFd))).collect()
    }

    /// Returns the addresses to which they are bound.
    pub fn addresses(&self) -> impl Iterator<Item = (Protocol, SocketAddr)> {
        let tcp = self.tcp.iter().map(|(_, socket)| (Protocol::Tcp, socket.local_addr()));
        let udp = self.udp.iter().map(|(_, socket)| (Protocol::Udp, socket.local_addr()));
        tcp.chain(udp).filter_map(|(protocol, address)| Some((protocol, address.ok()?)))
    }

    /// Serves the traps on a thread, for as long as the result exists.
    pub fn serve(self, banner: Banner, keeper: SyncSender<Message>) -> io::Result<Serving> {
        let tcp = self.tcp.into_iter().map(|(_, listener)| listener).collect();
        let udp = self.udp.into_iter().map(|(_, socket)| socket).collect();
        Serving::start(Server::new(tcp, udp, banner, keeper))
    }
}

fn bound(address: SocketAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn listener(address: std::net::IpAddr) -> io::Result<TcpListener> {
    let socket = bound(SocketAddr::new(address, 0), Type::STREAM)?;
    // Accepted connections inherit it: a service may take the port although a connection to the trap lingers.
    socket.set_reuse_address(true)?;
    socket.listen(BACKLOG)?;
    handshake::await_acknowledgements(&socket)?;
    Ok(socket.into())
}

fn datagrams(address: std::net::IpAddr) -> io::Result<UdpSocket> {
    let socket = bound(SocketAddr::new(address, 0), Type::DGRAM)?;
    // Requests the destination of each datagram, including the port.
    if address.is_ipv4() {
        setsockopt(&socket, sockopt::Ipv4OrigDstAddr, &true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv6OrigDstAddr, &true)?;
    }
    Ok(socket.into())
}
