//! A service that is bound to a device (`SO_BINDTODEVICE`), over IPv4.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use portsentry_common::classify::Protocol;
use socket2::{Domain, Socket, Type};

use super::Namespace;

/// Interval at which the service checks whether it must end.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// A service that echoes five bytes. It ends when dropped.
#[derive(Debug)]
pub struct DeviceBound {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl DeviceBound {
    /// Starts a service in `namespace` that accepts packets to any address, but only through `device`.
    pub fn start(namespace: &Namespace, device: &str, protocol: Protocol, port: u16) -> Self {
        let r#type = if protocol == Protocol::Tcp { Type::STREAM } else { Type::DGRAM };
        let open = || -> io::Result<Socket> {
            let socket = Socket::new(Domain::IPV4, r#type, None)?;
            socket.bind_device(Some(device.as_bytes()))?;
            socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
            socket.set_read_timeout(Some(BETWEEN_LOOKS))?;
            if protocol == Protocol::Tcp {
                socket.listen(64)?;
            }
            Ok(socket)
        };
        let socket = namespace
            .enter(open)
            .unwrap_or_else(|error| panic!("a service on {device} port {port}: {error}"));
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        let thread = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                // The call also fails if no client came within the interval, or if the client has left.
                let _ = if protocol == Protocol::Tcp { answer_tcp(&socket) } else { answer_udp(&socket) };
            }
        });
        Self { ends, thread: Some(thread) }
    }
}

impl Drop for DeviceBound {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn answer_tcp(listener: &Socket) -> io::Result<()> {
    let (client, _) = listener.accept()?;
    let mut client = TcpStream::from(client);
    client.set_read_timeout(Some(BETWEEN_LOOKS))?;
    let mut greeting = [0; 5];
    client.read_exact(&mut greeting)?;
    client.write_all(&greeting)
}

fn answer_udp(socket: &Socket) -> io::Result<()> {
    let socket = UdpSocket::from(socket.try_clone()?);
    let mut bytes = [0; 5];
    let (length, client) = socket.recv_from(&mut bytes)?;
    socket.send_to(&bytes[..length], client).map(drop)
}
