//! The connect modes: accepts connections and datagrams that the kernel steers to the daemon, sends the banner, and
//! reports them.

use std::{
    io::{self, IoSliceMut},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, AsRawFd},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{SyncSender, TrySendError},
    },
    time::{Duration, SystemTime},
};

use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockaddrLike, SockaddrStorage, recvmsg, setsockopt, sockopt,
};
use portsentry_common::{bound::OWN_MARK, classify::Protocol};
use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::Semaphore,
    task::JoinHandle,
    time::{interval, sleep, timeout},
};

use super::message::{Message, Visit};
use crate::{
    kernel::{self, TrapSlot, handshake},
    policy::Banner,
};

/// Maximum number of open connections; further ones wait in the listener's queue.
const AT_ONCE: usize = 1024;
/// Length of the listener's queue.
const BACKLOG: i32 = 4096;
/// Maximum time for a client to read the banner.
const PATIENCE: Duration = Duration::from_secs(3);
/// Pause before a connection is reported again to a keeper that was behind.
const PAUSE: Duration = Duration::from_millis(5);
/// Interval of reports on dropped datagrams.
const MOMENT: Duration = Duration::from_millis(500);
/// Receive buffer for datagrams, of which only the addresses matter.
const DATAGRAM: usize = 2048;

/// The sockets of the traps. They are bound to loopback addresses, so that nobody reaches them unsteered.
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

    /// Returns each socket with its slot, for the kernel.
    pub fn places(&self) -> Vec<(TrapSlot, &dyn AsRawFd)> {
        let tcp = self.tcp.iter().map(|(place, socket)| (*place, socket as &dyn AsRawFd));
        tcp.chain(self.udp.iter().map(|(place, socket)| (*place, socket as &dyn AsRawFd))).collect()
    }

    /// Returns the addresses that they are bound to.
    pub fn addresses(&self) -> impl Iterator<Item = (Protocol, SocketAddr)> {
        let tcp = self.tcp.iter().map(|(_, socket)| (Protocol::Tcp, socket.local_addr()));
        let udp = self.udp.iter().map(|(_, socket)| (Protocol::Udp, socket.local_addr()));
        tcp.chain(udp).filter_map(|(protocol, address)| Some((protocol, address.ok()?)))
    }

    /// Serves the traps, for as long as the result exists.
    pub fn serve(self, banner: Banner, keeper: &SyncSender<Message>) -> Serving {
        let line: Arc<[u8]> = banner.line().into();
        let banner = Arc::new(Mutex::new(banner));
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let tcp = self.tcp.into_iter().map(|(_, listener)| {
            tokio::spawn(accept(listener, Arc::clone(&line), Arc::clone(&places), keeper.clone()))
        });
        let udp = self
            .udp
            .into_iter()
            .map(|(_, socket)| tokio::spawn(receive(socket, Arc::clone(&banner), keeper.clone())));
        Serving(tcp.chain(udp).collect())
    }
}

/// Tasks that are aborted when dropped.
#[derive(Debug)]
pub struct Serving(Vec<JoinHandle<()>>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
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
    // Inherited by accepted connections: a service may take the port although a connection to the trap lingers.
    socket.set_reuse_address(true)?;
    socket.listen(BACKLOG)?;
    handshake::await_acknowledgements(&socket)?;
    TcpListener::from_std(socket.into())
}

fn datagrams(address: std::net::IpAddr) -> io::Result<UdpSocket> {
    let socket = bound(SocketAddr::new(address, 0), Type::DGRAM)?;
    // Requests the destination of each datagram, port included.
    if address.is_ipv4() {
        setsockopt(&socket, sockopt::Ipv4OrigDstAddr, &true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv6OrigDstAddr, &true)?;
    }
    UdpSocket::from_std(socket.into())
}

async fn accept(
    listener: TcpListener,
    banner: Arc<[u8]>,
    places: Arc<Semaphore>,
    keeper: SyncSender<Message>,
) {
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, source)) = listener.accept().await else {
            // Too many open files, or a closed connection: neither ends the trap.
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        // The source's original destination: the kernel did not change it.
        let Ok(destination) = stream.local_addr() else { continue };
        let (banner, keeper) = (Arc::clone(&banner), keeper.clone());
        let visit = visit(source, destination, Protocol::Tcp, handshake::is_awaited(&stream));
        tokio::spawn(async move {
            tell(&keeper, visit).await;
            // A client that doesn't read in time gets no banner.
            let _ = timeout(PATIENCE, show(stream, &banner)).await;
            drop(place);
        });
    }
}

/// Sends the banner, and closes after reading what the client sends: closing earlier would reset the connection, and
/// lose the banner.
async fn show(mut stream: TcpStream, banner: &[u8]) -> io::Result<()> {
    stream.write_all(banner).await?;
    stream.shutdown().await?;
    let mut rest = [0; 1024];
    let mut patience: u32 = 64;
    while patience > 0 && stream.read(&mut rest).await? > 0 {
        patience -= 1;
    }
    Ok(())
}

async fn receive(socket: UdpSocket, banner: Arc<Mutex<Banner>>, keeper: SyncSender<Message>) {
    let (mut lost, mut moments) = (0, interval(MOMENT));
    loop {
        let received = tokio::select! {
            received = socket.async_io(Interest::READABLE, || receive_one(&socket)) => received,
            _ = moments.tick(), if lost > 0 => {
                if keeper.try_send(Message::Lost(lost)).is_ok() {
                    lost = 0;
                }
                continue;
            }
        };
        let Ok(Some((source, destination, length))) = received else {
            tokio::task::yield_now().await;
            continue;
        };
        let visit = visit(source, destination, Protocol::Udp, false);
        // Datagrams may arrive faster than they can be queued.
        if keeper.try_send(Message::Visit(visit)).is_err() {
            lost += 1;
        }
        // A lost answer is like a lost packet: nothing depends on it.
        let mut banner = banner.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ns = kernel::monotonic_ns().unsigned_abs();
        let _ = answer(source, destination, banner.answer(length, now_ns));
    }
}

/// Receives a datagram; returns its two ends, and the length of its data.
fn receive_one(socket: &UdpSocket) -> io::Result<Option<(SocketAddr, SocketAddr, usize)>> {
    let mut bytes = [0; DATAGRAM];
    let mut buffers = [IoSliceMut::new(&mut bytes)];
    let mut control = nix::cmsg_space!([u8; 64]);
    let flags = MsgFlags::MSG_DONTWAIT;
    let message =
        recvmsg::<SockaddrStorage>(socket.as_fd().as_raw_fd(), &mut buffers, Some(&mut control), flags)?;
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
fn answer(source: SocketAddr, destination: SocketAddr, banner: &[u8]) -> io::Result<()> {
    if banner.is_empty() {
        return Ok(());
    }
    let socket = Socket::new(Domain::for_address(destination), Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    // The port stays a trap: the daemon's own bind makes no service.
    socket.set_mark(OWN_MARK)?;
    socket.bind(&destination.into())?;
    socket.set_mark(0)?;
    socket.connect(&source.into())?;
    socket.send(banner).map(drop)
}

fn visit(source: SocketAddr, destination: SocketAddr, protocol: Protocol, is_proof: bool) -> Visit {
    Visit { time: SystemTime::now(), source, destination, protocol, is_proof }
}

/// Reports a connection, waiting for a keeper that is behind: its source is always blocked.
async fn tell(keeper: &SyncSender<Message>, visit: Visit) {
    while let Err(TrySendError::Full(_)) = keeper.try_send(Message::Visit(visit)) {
        sleep(PAUSE).await;
    }
}
