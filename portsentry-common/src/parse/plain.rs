//! Packets of the common make: no IPv4 options or IPv6 extension headers, no fragments, nothing amiss.
//!
//! It must not read any others: those are left to the thorough parser, and so is saying what is wrong with them.

use super::{Datagram, Fragment, Parse, ipv4, ipv6};
use crate::{
    address::{Ipv4, Ipv6},
    frame::Frame,
    gate::Gated,
};

/// An address family whose plain packets are read by as few loads as it takes.
pub trait Plain: Parse + Gated {
    /// What decides on the source's bit in the gate, of the packet whose IP header starts at `offset`.
    fn prefix<F: Frame + ?Sized>(frame: &F, offset: usize) -> Option<Self::Prefix>;

    /// The network layer that starts at `offset`, or `None` if the packet isn't plain. Whether the frame holds all
    /// of it remains to be checked, after the transport header is read: the other way round, the compiler would
    /// leave out the header's own check, which the kernel's verifier insists on.
    fn plain<F: Frame + ?Sized>(frame: &F, offset: usize) -> Option<Datagram<Self>>;
}

impl Plain for Ipv4 {
    #[inline(always)]
    fn prefix<F: Frame + ?Sized>(frame: &F, offset: usize) -> Option<u32> {
        frame.read(offset + ipv4::SOURCE)
    }

    #[inline(always)]
    fn plain<F: Frame + ?Sized>(frame: &F, offset: usize) -> Option<Datagram<Self>> {
        const HEADER: usize = 20;
        /// Version and header length, "more fragments" and fragment offset, in the header's first eight bytes.
        const SHAPE: u64 = 0xff00_0000_0000_3fff_u64.to_be();
        /// Version 4, a header of five words, neither of the others.
        const PLAIN: u64 = 0x4500_0000_0000_0000_u64.to_be();

        let [first, second] = frame.read::<[u64; 2]>(offset)?;
        let destination = frame.read(offset + ipv4::DESTINATION).map(Self::from_word)?;
        let total = usize::from((u64::from_be(first) >> 32) as u16);
        if first & SHAPE != PLAIN || total < HEADER {
            return None;
        }
        let second = u64::from_be(second);
        Some(Datagram {
            destination,
            protocol: (second >> 48) as u8,
            transport: offset + HEADER,
            remaining: total - HEADER,
            fragment: Fragment::Whole,
            options: false,
            ttl: (second >> 56) as u8,
        })
    }
}

impl Plain for Ipv6 {
    #[inline(always)]
    fn prefix<F: Frame + ?Sized>(frame: &F, offset: usize) -> Option<u64> {
        frame.read(offset + ipv6::SOURCE)
    }

    #[inline(always)]
    fn plain<F: Frame + ?Sized>(frame: &F, offset: usize) -> Option<Datagram<Self>> {
        let first = frame.read::<u64>(offset).map(u64::from_be)?;
        let destination = frame.read(offset + ipv6::DESTINATION).map(Self::from_halves)?;
        let payload = usize::from((first >> 16) as u16);
        let protocol = (first >> 8) as u8;
        if first >> 60 != 6 || ipv6::is_extension(protocol) {
            return None;
        }
        Some(Datagram {
            destination,
            protocol,
            transport: offset + ipv6::HEADER,
            remaining: payload,
            fragment: Fragment::Whole,
            options: false,
            ttl: first as u8,
        })
    }
}
