//! What the host sends, as far as the fence needs it: which flows go on, and where another host's services stand behind own addresses.
//! It must not know maps.
//!
//! The program for what leaves sees the answers that a look-up of sockets can't: of translated connections, and of sockets that are bound
//! and not connected. A fenced source's packets that answer what was sent pass.

use crate::{classify::Protocol, parse::TcpFlags, settings::Settings, state::FlowKey};

/// A packet that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The address that it goes to, in halves; IPv4 as IPv4-mapped.
    pub remote: [u64; 2],
    /// The port that it goes to, host byte order.
    pub remote_port: u16,
    /// The port that it leaves from, host byte order.
    pub port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// TCP's control bits.
    pub flags: TcpFlags,
    /// Whether another host sent it, and this one forwards it.
    pub is_forwarded: bool,
}

/// What a packet that leaves teaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lesson {
    /// The flow that goes on.
    pub flow: FlowKey,
    /// The port of the host's to which datagrams of the same host may come from any port.
    pub any_port: Option<FlowKey>,
    /// Whether a service of another host's stands behind the address and port that it leaves from.
    pub is_service: bool,
}

impl Sent {
    /// Whether the packet may teach anything at all. The host's own connections are known by their sockets; nearly every packet
    /// is one of theirs.
    #[inline(always)]
    #[must_use]
    pub const fn is_of_interest(&self) -> bool {
        match self.protocol {
            Protocol::Udp => true,
            Protocol::Tcp => self.is_forwarded && self.flags.0 & TcpFlags::RST == 0,
        }
    }

    /// What the packet teaches, if it leaves from one of the host's own addresses.
    ///
    /// Some protocols send from a port at random to a fixed one, each way: VXLAN, Geneve, BFD (RFC 7348, RFC 8926,
    /// RFC 5881). So a datagram from an ephemeral port to a port of the other host's opens the same port here to that host.
    #[inline(always)]
    #[must_use]
    pub fn lesson(&self, settings: &Settings) -> Lesson {
        let Self { remote, remote_port, port, protocol, flags, .. } = *self;
        let protocol = protocol as u8;
        let is_question = matches!(self.protocol, Protocol::Udp) && settings.is_ephemeral(port);
        let has_all = |mask: u8| flags.0 & mask == mask;
        Lesson {
            flow: FlowKey::new(remote, remote_port, port, protocol),
            any_port: is_question.then(|| FlowKey::new(remote, 0, remote_port, protocol)),
            is_service: matches!(self.protocol, Protocol::Tcp) && has_all(TcpFlags::SYN | TcpFlags::ACK),
        }
    }
}

#[cfg(test)]
mod tests;
