//! Parses the IP header of each address family.

use super::{Datagram, Link, Malformed, header::near, ipv4, ipv6};
use crate::{
    address::{Address, Ipv4, Ipv6},
    frame::{Bytes, Frame},
};

/// Parses the headers that differ between address families.
pub trait Parse: Address {
    /// Returns the source address of the packet behind `link`.
    fn source<F: Frame>(frame: &F, link: &Link) -> Result<Self, Malformed>;

    /// Parses the network layer behind `link`.
    fn datagram<F: Frame>(frame: &F, link: &Link) -> Result<Datagram<Self>, Malformed>;
}

impl Parse for Ipv4 {
    #[inline(always)]
    fn source<F: Frame>(frame: &F, link: &Link) -> Result<Self, Malformed> {
        let offset = link.length + ipv4::SOURCE;
        let near = near(frame, link).and_then(|packet| packet.read(offset));
        near.or_else(|| frame.load(offset)).map(Self::from_word).ok_or(Malformed::Ipv4)
    }

    #[inline(always)]
    fn datagram<F: Frame>(frame: &F, link: &Link) -> Result<Datagram<Self>, Malformed> {
        ipv4::datagram(frame, link)
    }
}

impl Parse for Ipv6 {
    #[inline(always)]
    fn source<F: Frame>(frame: &F, link: &Link) -> Result<Self, Malformed> {
        let offset = link.length + ipv6::SOURCE;
        let near = near(frame, link).and_then(|packet| ipv6::address(packet, offset));
        near.or_else(|| ipv6::address(frame.far(), offset)).ok_or(Malformed::Ipv6)
    }

    #[inline(always)]
    fn datagram<F: Frame>(frame: &F, link: &Link) -> Result<Datagram<Self>, Malformed> {
        ipv6::datagram(frame, link)
    }
}
