//! Packets of the common make: no IPv4 options or IPv6 extension headers, no fragments, nothing amiss.
//!
//! It must not read any others: those are left to the thorough parser, and so is saying what is wrong with them.
//! Each value is read where it is needed, and on its own: what is read early or together costs registers.

use super::{
    Parse, TcpFlags, ipv4, ipv6,
    transport::{TCP_HEADER, UDP_HEADER},
};
use crate::{
    address::{Ipv4, Ipv6},
    frame::Bytes,
    gate::Gated,
};

/// What a plain packet carries. Whether all of it is there is checked after the transport header is read: the
/// other way round, the compiler would leave out that header's own check, which the kernel's verifier insists on.
#[derive(Clone, Copy, Debug)]
pub struct Payload {
    /// The transport protocol's number.
    pub protocol: u8,
    /// Where in the packet it begins, in bytes.
    pub offset: usize,
    /// Where in the packet it says to end, in bytes.
    pub end: usize,
}

/// An address family whose plain packets are read by as few loads as it takes. All packets begin with the IP
/// header.
pub trait Plain: Parse + Gated {
    /// What decides on the source's bit in the gate.
    fn prefix<B: Bytes>(packet: B) -> Option<Self::Prefix>;

    /// Where the packet says it is going: an address, and the port in its TCP or UDP header, host byte order.
    fn end<B: Bytes>(packet: B, payload: &Payload) -> Option<(Self, u16)>;

    /// What the packet carries, or `None` if it isn't plain.
    fn payload<B: Bytes>(packet: B) -> Option<Payload>;

    /// Whether that number stands for an extension header, so that the packet isn't plain.
    fn is_extension(protocol: u8) -> bool;
}

impl Plain for Ipv4 {
    #[inline(always)]
    fn prefix<B: Bytes>(packet: B) -> Option<u32> {
        packet.read(ipv4::SOURCE)
    }

    /// The address and both ports lie side by side, and fit in one load.
    #[inline(always)]
    fn end<B: Bytes>(packet: B, _: &Payload) -> Option<(Self, u16)> {
        let ends = packet.read::<u64>(ipv4::DESTINATION)?;
        let (destination, port) = (ends.to_le() as u32, (ends.to_le() >> 48) as u16);
        Some((Self::from_word(destination.to_le()), u16::from_be(port)))
    }

    #[inline(always)]
    fn payload<B: Bytes>(packet: B) -> Option<Payload> {
        /// Version and header length, "more fragments" and fragment offset, in the header's first eight bytes.
        const SHAPE: u64 = 0xff00_0000_0000_3fff_u64.to_be();
        /// Version 4, a header of five words, neither of the others.
        const PLAIN: u64 = 0x4500_0000_0000_0000_u64.to_be();

        let protocol = packet.read(9)?;
        let first = packet.read::<u64>(0)?;
        let is_plain = first & SHAPE == PLAIN;
        // Cut out of a word that was swapped as a whole: older verifiers know no bounds of a half that was.
        let end = usize::from((u64::from_be(first) >> 32) as u16);
        is_plain.then_some(Payload { protocol, offset: ipv4::LEAST, end })
    }

    #[inline(always)]
    fn is_extension(_: u8) -> bool {
        false
    }
}

impl Plain for Ipv6 {
    #[inline(always)]
    fn prefix<B: Bytes>(packet: B) -> Option<u64> {
        packet.read(ipv6::SOURCE)
    }

    #[inline(always)]
    fn end<B: Bytes>(packet: B, payload: &Payload) -> Option<(Self, u16)> {
        let port = packet.read(payload.offset + 2).map(u16::from_be)?;
        Some((ipv6::address(packet, ipv6::DESTINATION)?, port))
    }

    #[inline(always)]
    fn payload<B: Bytes>(packet: B) -> Option<Payload> {
        let protocol = packet.read(6)?;
        let length = usize::from((super::beginning(packet, 0)? >> 16) as u16);
        let is_plain = packet.read::<u8>(0)? >> 4 == 6;
        is_plain.then_some(Payload { protocol, offset: ipv6::HEADER, end: ipv6::HEADER + length })
    }

    #[inline(always)]
    fn is_extension(protocol: u8) -> bool {
        ipv6::is_extension(protocol)
    }
}

impl Payload {
    /// Whether all of it is there to be read.
    #[inline(always)]
    pub fn is_within<B: Bytes>(&self, packet: B) -> bool {
        self.offset <= self.end && packet.reaches(self.end)
    }

    /// The control bits of its TCP header, or `None` if something is amiss.
    #[inline(always)]
    pub fn tcp<B: Bytes>(&self, packet: B) -> Option<TcpFlags> {
        // Both bytes in one load: the header's length and the control bits.
        let [length, flags] = packet.read::<u16>(self.offset + 12)?.to_ne_bytes();
        let header = usize::from(length >> 4) * 4;
        let is_sound = header >= TCP_HEADER && self.offset + header <= self.end && packet.reaches(self.end);
        is_sound.then_some(TcpFlags(flags))
    }

    /// Checks its UDP header: `None` if that's length isn't the packet's, or something else is amiss.
    #[inline(always)]
    pub fn udp<B: Bytes>(&self, packet: B) -> Option<()> {
        let length = usize::from(packet.read(self.offset + 4).map(u16::from_be)?);
        let is_sound = length >= UDP_HEADER && self.offset + length == self.end && packet.reaches(self.end);
        is_sound.then_some(())
    }
}
