//! Packets of the common make: no IPv4 options or IPv6 extension headers, no fragments, nothing amiss.
//!
//! It must not read any others: those are left to the thorough parser, and so is saying what is wrong with them.

use super::{Datagram, Fragment, Parse, ipv4, ipv6};
use crate::{
    address::{Ipv4, Ipv6},
    frame::Bytes,
    gate::Gated,
};

/// An address family whose plain packets are read by as few loads as it takes.
pub trait Plain: Parse + Gated {
    /// What decides on the source's bit in the gate, of a packet from its IP header on.
    fn prefix<B: Bytes>(packet: B) -> Option<Self::Prefix>;

    /// The network layer of a packet from its IP header on, or `None` if it isn't plain. Whether all of it is
    /// there remains to be checked, after the transport header is read: the other way round, the compiler would
    /// leave out that header's own check, which the kernel's verifier insists on.
    fn plain<B: Bytes>(packet: B) -> Option<Datagram<Self>>;
}

impl Plain for Ipv4 {
    #[inline(always)]
    fn prefix<B: Bytes>(packet: B) -> Option<u32> {
        packet.read(ipv4::SOURCE)
    }

    #[inline(always)]
    fn plain<B: Bytes>(packet: B) -> Option<Datagram<Self>> {
        const HEADER: usize = 20;
        /// Version and header length, "more fragments" and fragment offset, in the header's first eight bytes.
        const SHAPE: u64 = 0xff00_0000_0000_3fff_u64.to_be();
        /// Version 4, a header of five words, neither of the others.
        const PLAIN: u64 = 0x4500_0000_0000_0000_u64.to_be();

        let destination = packet.read(ipv4::DESTINATION).map(Self::from_word)?;
        let first = packet.read::<u64>(0)?;
        let [_, _, ttl, protocol] = packet.read::<[u8; 4]>(6)?;
        let total = usize::from((u64::from_be(first) >> 32) as u16);
        if first & SHAPE != PLAIN || total < HEADER {
            return None;
        }
        Some(Datagram {
            destination,
            protocol,
            transport: HEADER,
            remaining: total - HEADER,
            fragment: Fragment::Whole,
            options: false,
            ttl,
        })
    }
}

impl Plain for Ipv6 {
    #[inline(always)]
    fn prefix<B: Bytes>(packet: B) -> Option<u64> {
        packet.read(ipv6::SOURCE)
    }

    #[inline(always)]
    fn plain<B: Bytes>(packet: B) -> Option<Datagram<Self>> {
        let destination = ipv6::address(packet, ipv6::DESTINATION)?;
        let [version, ..] = packet.read::<[u8; 4]>(0)?;
        let [high, low, protocol, ttl] = packet.read::<[u8; 4]>(4)?;
        if version >> 4 != 6 || ipv6::is_extension(protocol) {
            return None;
        }
        Some(Datagram {
            destination,
            protocol,
            transport: ipv6::HEADER,
            remaining: usize::from(u16::from_be_bytes([high, low])),
            fragment: Fragment::Whole,
            options: false,
            ttl,
        })
    }
}
