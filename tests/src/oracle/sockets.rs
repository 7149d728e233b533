//! Finds the sockets to which a packet belongs.

use std::net::{IpAddr, SocketAddr};

use crate::sockets::Socket;

/// A packet's two ends: the host's, and the peer's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub ours: SocketAddr,
    pub theirs: SocketAddr,
}

impl Ends {
    /// Whether the host's end has a service for any client, or a socket for these two ends only.
    pub fn have_a_tcp_service(self, sockets: &[Socket], is_of_a_connection: bool) -> bool {
        sockets.iter().any(|socket| match socket {
            Socket::Listener(at) => self.reach(*at),
            Socket::Connection(pair) => self.are(*pair),
            // ARCHITECTURE: a socket in TIME-WAIT explains only ACK and FIN+ACK.
            Socket::TimeWait(pair) => is_of_a_connection && self.are(*pair),
            Socket::Bound(_) | Socket::Connected(_) => false,
        })
    }

    pub fn have_a_udp_service(self, sockets: &[Socket]) -> bool {
        sockets.iter().any(|socket| match socket {
            Socket::Bound(at) => self.reach(*at),
            Socket::Connected(pair) => self.are(*pair),
            _ => false,
        })
    }

    /// Whether the ends have a connection, even one that is closing.
    pub fn are_connected(self, sockets: &[Socket]) -> bool {
        sockets.iter().any(
            |socket| matches!(socket, Socket::Connection(pair) | Socket::TimeWait(pair) if self.are(*pair)),
        )
    }

    /// Whether a UDP socket expects a datagram: one connected to the peer, or one on an ephemeral port.
    pub fn await_a_datagram(self, sockets: &[Socket], first_ephemeral: u32) -> bool {
        let is_ephemeral = u32::from(self.ours.port()) >= first_ephemeral;
        sockets.iter().any(|socket| match socket {
            Socket::Connected(pair) => self.are(*pair),
            Socket::Bound(at) => is_ephemeral && self.reach(*at),
            _ => false,
        })
    }

    fn are(self, (local, peer): (SocketAddr, SocketAddr)) -> bool {
        (self.ours, self.theirs) == (local, peer)
    }

    fn reach(self, at: SocketAddr) -> bool {
        let is_here = match at.ip() {
            // A socket on `[::]` accepts IPv4, too.
            ip if ip.is_unspecified() => ip.is_ipv6() || self.ours.is_ipv4(),
            ip => ip == self.ours.ip(),
        };
        is_here && at.port() == self.ours.port()
    }
}

/// Whether `source` can be a single host: not unspecified, loopback, multicast or broadcast, and no IPv4-mapped
/// address.
pub(super) fn is_one_host(source: IpAddr) -> bool {
    let nobody = match source {
        IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.is_loopback() || v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => {
            v6.is_unspecified() || v6.is_loopback() || v6.is_multicast() || v6.to_ipv4_mapped().is_some()
        }
    };
    !nobody
}
