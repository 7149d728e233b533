//! The host's outgoing packets, as far as rules need them: the flows that continue, and other hosts' services behind
//! the host's own addresses.
//!
//! The program for outgoing packets records packets whose answers a socket look-up can't explain: those of translated
//! connections, and of bound but unconnected sockets. A packet that answers a recorded one is no probe, and passes
//! the fence.

use crate::{classify::Protocol, parse::TcpFlags, settings::Settings, state::FlowKey};

/// An outgoing packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Destination address in halves, IPv4 as IPv4-mapped.
    pub remote: [u64; 2],
    /// Destination port, in host byte order.
    pub remote_port: u16,
    /// Source port, in host byte order.
    pub port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// TCP's control bits.
    pub flags: TcpFlags,
    /// Whether this host forwards it for another host.
    pub is_forwarded: bool,
}

/// The records that an outgoing packet makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lesson {
    /// The flow that continues.
    pub flow: FlowKey,
    /// The key of the flow from any port of the same host to one port of this host, if such a flow is allowed.
    pub any_port: Option<FlowKey>,
    /// Whether another host's service is behind the packet's source address and port.
    pub is_service: bool,
}

impl Sent {
    /// Whether the packet may need a record. Sockets show the host's own connections, to which nearly every packet
    /// belongs.
    #[inline(always)]
    #[must_use]
    pub const fn is_of_interest(&self) -> bool {
        match self.protocol {
            Protocol::Udp => true,
            Protocol::Tcp => self.is_forwarded && self.flags.0 & TcpFlags::RST == 0,
        }
    }

    /// Returns the packet's records, given that its source is one of the host's own addresses.
    ///
    /// In VXLAN, Geneve and BFD each end sends from a random port to a fixed one (RFC 7348, RFC 8926, RFC 5881).
    /// Therefore, after a datagram from an ephemeral port to some port, the receiver may send from any port to the
    /// same port number here.
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
