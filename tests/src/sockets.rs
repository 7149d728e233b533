//! Descriptions of sockets that can be opened and simulated.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, SockAddr, Type};

/// A socket's own address, and its peer's address.
pub type Pair = (SocketAddr, SocketAddr);

/// A socket that may accept a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Socket {
    /// A listening TCP socket. On `[::]` it accepts both address families.
    Listener(SocketAddr),
    /// An established TCP connection.
    Connection(Pair),
    /// A TCP connection that this end closed first.
    TimeWait(Pair),
    /// A bound, unconnected UDP socket.
    Bound(SocketAddr),
    /// A UDP socket that accepts only its peer's datagrams.
    Connected(Pair),
}

/// Open sockets, closed when dropped.
#[derive(Debug)]
pub struct Open(#[expect(dead_code, reason = "held, not used")] Vec<socket2::Socket>);

impl Socket {
    /// Opens the sockets in this thread's network namespace.
    #[must_use]
    pub fn open(&self) -> Open {
        let opened = match *self {
            Self::Listener(local) => listen(local).map(|listener| vec![listener]),
            Self::Connection(pair) => connection(pair),
            Self::TimeWait(pair) => connection(pair).map(|ends| {
                // The host's end closes first, then the peer's: the host's end stays in TIME-WAIT.
                ends.into_iter().for_each(drop);
                Vec::new()
            }),
            Self::Bound(local) => bind(local, Type::DGRAM).map(|socket| vec![socket]),
            Self::Connected((local, peer)) => bind(local, Type::DGRAM)
                .and_then(|socket| socket.connect(&SockAddr::from(peer)).map(|()| vec![socket])),
        };
        Open(opened.unwrap_or_else(|error| panic!("{self:?} can't be opened: {error}")))
    }
}

fn bind(local: SocketAddr, r#type: Type) -> std::io::Result<socket2::Socket> {
    let protocol = if r#type == Type::STREAM { Protocol::TCP } else { Protocol::UDP };
    let socket = socket2::Socket::new(Domain::for_address(local), r#type, Some(protocol))?;
    socket.set_reuse_address(true)?;
    socket.bind(&local.into())?;
    Ok(socket)
}

/// Listens, after the kernel has asynchronously released earlier listeners.
fn listen(local: SocketAddr) -> std::io::Result<socket2::Socket> {
    let open = || {
        let listener = bind(local, Type::STREAM)?;
        listener.listen(8)?;
        Ok(listener)
    };
    patiently(ErrorKind::AddrInUse, open)
}

/// Returns the host's end and the peer's end, without the listener.
fn connection((local, peer): Pair) -> std::io::Result<Vec<socket2::Socket>> {
    let listener = listen(local)?;
    let outside = bind(peer, Type::STREAM)?;
    connect(&outside, &local.into())?;
    let (inside, _) = listener.accept()?;
    Ok(vec![inside, outside])
}

/// Connects, after the kernel has asynchronously added routes to a namespace's new addresses.
fn connect(socket: &socket2::Socket, to: &SockAddr) -> std::io::Result<()> {
    patiently(ErrorKind::NetworkUnreachable, || socket.connect(to))
}

/// Retries on this error, within the time limit.
fn patiently<T>(with: ErrorKind, attempt: impl Fn() -> std::io::Result<T>) -> std::io::Result<T> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let start = Instant::now();
    loop {
        match attempt() {
            Err(error) if error.kind() == with && start.elapsed() < PATIENCE => thread::yield_now(),
            result => return result,
        }
    }
}
