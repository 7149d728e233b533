//! The TCP and UDP headers, as far as the rules need them.

use bytemuck::AnyBitPattern;

use super::{
    Datagram, Fragment, Malformed,
    ipv6::is_extension,
    protocol::{TCP, UDP},
};
use crate::{address::Address, frame::Frame};

pub(super) const TCP_HEADER: usize = 20;
/// Number of bytes of a TCP header up to its control bits. Fragments are cut at multiples of eight (RFC 791), and
/// Linux accepts no others.
const TCP_CONTROL: usize = 16;
pub(super) const UDP_HEADER: usize = 8;

/// The control bits of a TCP header (RFC 9293 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement number is valid.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer is valid.
    pub const URG: u8 = 0x20;
}

/// The header length and the control bits, as they are in a TCP header.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, AnyBitPattern)]
pub struct TcpControl(u16);

impl TcpControl {
    /// Returns the length of the header, in bytes.
    #[inline(always)]
    #[must_use]
    pub fn header(self) -> usize {
        usize::from(self.0.to_ne_bytes()[0] >> 4) * 4
    }

    /// Returns the control bits.
    #[inline(always)]
    #[must_use]
    pub fn flags(self) -> TcpFlags {
        TcpFlags(self.0.to_ne_bytes()[1])
    }

    /// Whether the control bits under `mask` equal `set`. Saves a shift.
    #[inline(always)]
    #[must_use]
    pub fn has(self, mask: u8, set: u8) -> bool {
        self.0 & u16::from_ne_bytes([0, mask]) == u16::from_ne_bytes([0, set])
    }
}

/// A transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP; ports in host byte order.
    Tcp {
        /// Source port.
        source_port: u16,
        /// Destination port.
        port: u16,
        /// The control bits.
        flags: TcpFlags,
    },
    /// A first fragment of less than 16 bytes, without TCP's control bits (RFC 1858 section 3.1). No ordinary stack
    /// sends one. The ports are in host byte order.
    TinyTcp {
        /// Source port.
        source_port: u16,
        /// Destination port.
        port: u16,
    },
    /// UDP; ports in host byte order.
    Udp {
        /// Source port.
        source_port: u16,
        /// Destination port.
        port: u16,
    },
    /// A transport header that can't be read. Either a chain of IPv6 extension headers runs past the packet, or a
    /// first IPv6 fragment ends before the ports, although it must contain all headers (RFC 8200 section 4.5). No
    /// ordinary stack sends such a packet.
    Hidden,
    /// Another protocol, or a later fragment: no probe.
    Other,
}

impl<A: Address> Datagram<A> {
    /// Parses the transport header as far as the rules need it, from the same frame as the network layer.
    #[inline(always)]
    pub fn transport<F: Frame>(&self, frame: &F) -> Result<Transport, Malformed> {
        transport(frame, self)
    }
}

#[inline(always)]
fn transport<A: Address, F: Frame>(frame: &F, datagram: &Datagram<A>) -> Result<Transport, Malformed> {
    if datagram.fragment == Fragment::Later {
        return Ok(Transport::Other);
    }
    match datagram.protocol {
        TCP => tcp(frame, datagram),
        UDP => udp(frame, datagram),
        number if A::VERSION == 6 && is_extension(number) => Ok(Transport::Hidden),
        _ => Ok(Transport::Other),
    }
}

#[inline(always)]
fn tcp<A: Address, F: Frame>(frame: &F, datagram: &Datagram<A>) -> Result<Transport, Malformed> {
    let least = if datagram.fragment == Fragment::First { TCP_CONTROL } else { TCP_HEADER };
    if datagram.remaining < least {
        return tiny_tcp(frame, datagram);
    }
    let words = frame.read::<[u32; 4]>(datagram.transport).ok_or(Malformed::Tcp)?;
    let [source_port, port] = ports(words[0]);
    let control = u32::from_be(words[3]);
    let header = (control >> 28) as usize * 4;
    let cut = header > datagram.remaining && datagram.fragment == Fragment::Whole;
    if header < TCP_HEADER || cut {
        return Err(Malformed::Tcp);
    }
    Ok(Transport::Tcp { source_port, port, flags: TcpFlags((control >> 16) as u8) })
}

#[inline(always)]
fn tiny_tcp<A: Address, F: Frame>(frame: &F, datagram: &Datagram<A>) -> Result<Transport, Malformed> {
    if datagram.fragment != Fragment::First || datagram.remaining < 4 {
        return cut_off(datagram, Malformed::Tcp);
    }
    let [source_port, port] = ports(frame.read(datagram.transport).ok_or(Malformed::Tcp)?);
    Ok(Transport::TinyTcp { source_port, port })
}

#[inline(always)]
fn udp<A: Address, F: Frame>(frame: &F, datagram: &Datagram<A>) -> Result<Transport, Malformed> {
    if datagram.remaining < UDP_HEADER {
        return cut_off(datagram, Malformed::Udp);
    }
    let words = frame.read::<[u32; 2]>(datagram.transport).ok_or(Malformed::Udp)?;
    let [source_port, port] = ports(words[0]);
    let length = (u32::from_be(words[1]) >> 16) as usize;
    // Zero means a jumbogram (RFC 2675 section 4), for which Linux takes the rest of the packet.
    let impossible = length != 0 && length < UDP_HEADER;
    let cut = length > datagram.remaining && datagram.fragment == Fragment::Whole;
    if impossible || cut { Err(Malformed::Udp) } else { Ok(Transport::Udp { source_port, port }) }
}

/// Returns the result for a header that ends before its ports. IPv4 has no rule for first fragments, but Linux
/// doesn't reassemble such fragments.
#[inline(always)]
fn cut_off<A: Address>(datagram: &Datagram<A>, cause: Malformed) -> Result<Transport, Malformed> {
    if A::VERSION == 6 && datagram.fragment == Fragment::First { Ok(Transport::Hidden) } else { Err(cause) }
}

/// Returns source and destination port from the header's first word, which is in wire order.
#[inline(always)]
fn ports(word: u32) -> [u16; 2] {
    let word = u32::from_be(word);
    [(word >> 16) as u16, word as u16]
}
