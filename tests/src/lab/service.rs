//! A real service, and clients that check whether they reach it.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, UdpSocket},
    os::fd::AsRawFd,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::sys::socket::{MsgFlags, SockaddrStorage, recvfrom, sendto};
use portsentry_common::classify::Protocol;
use socket2::{Domain, Socket, Type};

use super::{FAMILIES, Family, Lab, Namespace, log::PATIENCE, uninterrupted};

/// Time limit for an answer that should not come.
const IMPATIENCE: Duration = Duration::from_millis(400);
const GREETING: &[u8; 5] = b"hello";

/// A client's time limit for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Up to the time limit of all waits: an answer should come.
    Expected,
    /// A moment: no answer should come.
    Unexpected,
    /// Briefly, because the caller repeats the request.
    AtOnce,
}

/// A service that echoes a greeting over IPv4 and IPv6. It ends when dropped.
pub struct Service {
    protocol: Protocol,
    port: u16,
    socket: Socket,
    thread: Option<JoinHandle<()>>,
}

impl Lab {
    /// A TCP service on the host.
    pub fn serve_tcp(&self, port: u16) -> Service {
        Service::start(&self.host, Protocol::Tcp, port)
    }

    /// A UDP service on the host.
    pub fn serve_udp(&self, port: u16) -> Service {
        Service::start(&self.host, Protocol::Udp, port)
    }
}

impl Service {
    /// A service in `namespace`.
    pub fn start(namespace: &Namespace, protocol: Protocol, port: u16) -> Self {
        let r#type = if protocol == Protocol::Tcp { Type::STREAM } else { Type::DGRAM };
        let open = || -> io::Result<Socket> {
            let socket = Socket::new(Domain::IPV6, r#type, None)?;
            socket.set_reuse_address(true)?;
            socket.set_only_v6(false)?;
            socket.bind(&SocketAddr::from(([0; 16], port)).into())?;
            if protocol == Protocol::Tcp {
                socket.listen(64)?;
            }
            Ok(socket)
        };
        let socket =
            namespace.enter(open).unwrap_or_else(|error| panic!("a service on port {port}: {error}"));
        let own = socket.try_clone().expect("a socket's second handle");
        let thread = thread::spawn(move || match protocol {
            Protocol::Tcp => answer_tcp(&own.into()),
            Protocol::Udp => answer_udp(&own.into()),
        });
        Self { protocol, port, socket, thread: Some(thread) }
    }

    /// Whether a client at `source`, in `namespace`, reaches the service.
    pub fn answers(&self, namespace: &Namespace, source: IpAddr, reach: Reach) -> bool {
        let host = Family::of(source).host();
        self.answers_at(namespace, source, host, reach)
    }

    /// Whether a client at `source`, in `namespace`, reaches the service at `host`, one of the host's addresses.
    pub fn answers_at(&self, namespace: &Namespace, source: IpAddr, host: IpAddr, reach: Reach) -> bool {
        let port = SocketAddr::new(host, self.port);
        let patience = match reach {
            Reach::Expected => PATIENCE,
            Reach::Unexpected => IMPATIENCE,
            Reach::AtOnce => IMPATIENCE / 20,
        };
        let ask = match self.protocol {
            Protocol::Tcp => ask_tcp,
            Protocol::Udp => ask_udp,
        };
        let started = Instant::now();
        loop {
            match ask(namespace, source, port, patience) {
                Ok(answer) => return answer == *GREETING,
                // The link's neighbour discovery failed while the source was blocked, and starts over.
                Err(error)
                    if reach == Reach::Expected
                        && error.kind() == io::ErrorKind::HostUnreachable
                        && started.elapsed() < patience => {}
                Err(_) => return false,
            }
        }
    }

    /// Fails unless the bystander reaches the service over both address families.
    pub fn assert_open_to_bystander(&self, lab: &Lab) {
        for family in FAMILIES {
            let is_reached = self.answers(&lab.bystander, family.bystander(), Reach::Expected);
            assert!(is_reached, "the bystander can't reach {self:?} over {family:?}");
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the service on {} port {}", self.protocol.name(), self.port)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Wakes the thread. For UDP this returns ENOTCONN, but works all the same.
        let _ = self.socket.shutdown(Shutdown::Both);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn answer_tcp(listener: &TcpListener) {
    while let Ok((mut client, _)) = listener.accept() {
        let mut greeting = *GREETING;
        // A scanner sends nothing, and may have left or been blocked before.
        let _ = client.set_read_timeout(Some(IMPATIENCE));
        let _ = client.read_exact(&mut greeting).and_then(|()| client.write_all(&greeting));
    }
}

fn answer_udp(socket: &UdpSocket) {
    let mut bytes = [0; GREETING.len()];
    // The standard library's `recv_from` fails on a shut-down socket that has no peer.
    while let Ok((length, Some(client))) = recvfrom::<SockaddrStorage>(socket.as_raw_fd(), &mut bytes) {
        let _ = sendto(socket.as_raw_fd(), &bytes[..length], &client, MsgFlags::empty());
    }
}

fn ask_tcp(
    namespace: &Namespace,
    source: IpAddr,
    port: SocketAddr,
    patience: Duration,
) -> io::Result<[u8; 5]> {
    let mut stream = namespace.connect_from(source, port, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(GREETING)?;
    let mut answer = [0; GREETING.len()];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

fn ask_udp(
    namespace: &Namespace,
    source: IpAddr,
    port: SocketAddr,
    patience: Duration,
) -> io::Result<[u8; 5]> {
    let socket = namespace.enter(|| UdpSocket::bind(SocketAddr::new(source, 0)))?;
    socket.connect(port)?;
    socket.set_read_timeout(Some(patience))?;
    socket.send(GREETING)?;
    let mut answer = [0; GREETING.len()];
    uninterrupted(|| socket.recv(&mut answer))?;
    Ok(answer)
}
