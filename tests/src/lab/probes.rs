//! A single probe, sent by an ordinary socket.

use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

use super::Namespace;

/// A probe under way. The sender's system repeats its SYN until this is dropped.
#[derive(Debug)]
pub struct Probe(#[expect(dead_code, reason = "held, not used")] Socket);

impl Probe {
    /// Sends a SYN from `source`, in `namespace`, to `port`.
    pub fn tcp(namespace: &Namespace, source: IpAddr, port: SocketAddr) -> Self {
        Self::send(namespace, source, port, Type::STREAM)
    }

    /// Sends a datagram from `source`, in `namespace`, to `port`.
    pub fn udp(namespace: &Namespace, source: IpAddr, port: SocketAddr) -> Self {
        Self::send(namespace, source, port, Type::DGRAM)
    }

    fn send(namespace: &Namespace, source: IpAddr, port: SocketAddr, r#type: Type) -> Self {
        let protocol = if r#type == Type::STREAM { Protocol::TCP } else { Protocol::UDP };
        let send = || {
            let socket = Socket::new(Domain::for_address(port), r#type, Some(protocol))?;
            socket.bind(&SocketAddr::new(source, 0).into())?;
            socket.set_nonblocking(true)?;
            match socket.connect(&port.into()) {
                Err(error) if error.raw_os_error() != Some(nix::Error::EINPROGRESS as i32) => {
                    return Err(error);
                }
                _ => {}
            }
            if r#type == Type::DGRAM {
                socket.send(b"probe")?;
            }
            Ok(Self(socket))
        };
        namespace.enter(send).unwrap_or_else(|error| panic!("from {source} to {port}: {error}"))
    }
}
