//! Datagrams to a trap.

use std::{
    io::{self, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd,
};

use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockaddrLike, SockaddrStorage, recvmsg,
};
use portsentry_common::bound::OWN_MARK;
use socket2::{Domain, Socket, Type};

/// Receive buffer, of which only the addresses matter.
const DATAGRAM: usize = 2048;

/// Receives a datagram. Returns its two ends, and the length of its data.
pub(super) fn receive(socket: &UdpSocket) -> io::Result<Option<(SocketAddr, SocketAddr, usize)>> {
    let mut bytes = [0; DATAGRAM];
    let mut buffers = [IoSliceMut::new(&mut bytes)];
    let mut control = nix::cmsg_space!([u8; 64]);
    let flags = MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut buffers, Some(&mut control), flags)?;
    let destination = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4OrigDstAddr(address) => {
            Some(SocketAddr::V4(nix::sys::socket::SockaddrIn::from(address).into()))
        }
        ControlMessageOwned::Ipv6OrigDstAddr(address) => {
            Some(SocketAddr::V6(nix::sys::socket::SockaddrIn6::from(address).into()))
        }
        _ => None,
    });
    let source = message.address.and_then(|address| to_std(&address));
    Ok(source.zip(destination).map(|(source, destination)| (source, destination, message.bytes)))
}

fn to_std(address: &SockaddrStorage) -> Option<SocketAddr> {
    match address.family()? {
        AddressFamily::Inet => address.as_sockaddr_in().map(|it| SocketAddr::V4((*it).into())),
        AddressFamily::Inet6 => address.as_sockaddr_in6().map(|it| SocketAddr::V6((*it).into())),
        _ => None,
    }
}

/// Answers from the datagram's destination. The socket is connected, so that it receives no other packets.
pub(super) fn answer(source: SocketAddr, destination: SocketAddr, banner: &[u8]) -> io::Result<()> {
    if banner.is_empty() {
        return Ok(());
    }
    let socket = Socket::new(Domain::for_address(destination), Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    // The port stays a trap, because the mark keeps this bind from counting as a service.
    socket.set_mark(OWN_MARK)?;
    socket.bind(&destination.into())?;
    socket.set_mark(0)?;
    socket.connect(&source.into())?;
    socket.send(banner).map(drop)
}
