//! Packets that the host sends.

use std::net::SocketAddr;

use portsentry_common::classify::Protocol;

/// An outgoing packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The transport protocol.
    pub protocol: Protocol,
    /// TCP's control bits.
    pub flags: u8,
    /// Its source address and port.
    pub local: SocketAddr,
    /// Its destination address and port.
    pub remote: SocketAddr,
    /// Whether the host forwarded it.
    pub is_forwarded: bool,
}
