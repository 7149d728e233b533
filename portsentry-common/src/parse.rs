//! Parses a frame: Ethernet with VLAN tags and PPPoE, IPv4, IPv6 with its extension headers, TCP, UDP.
//!
//! Headers are parsed in the order in which they can be trusted. First comes the link layer. The source address
//! alone is next, because packets of a blocked source are dropped whatever follows. Then comes the rest.

#![allow(
    clippy::cast_possible_truncation,
    reason = "a header's fields are cut out of its words by truncation"
)]

mod chain;
mod deep;
mod ipv4;
mod ipv6;
mod link;
mod plain;
mod transport;

pub use chain::{Chain, MAX_EXTENSIONS};
pub use deep::{Deep, MAX_TAGS, deep_link};
pub(crate) use link::{CUSTOMER_TAG, ETHERTYPE, IPV4, IPV6, TAG, near_link};
pub use link::{ETHERNET, Link, Network, link};
pub use plain::{IP, Plain};
pub use transport::{TcpControl, TcpFlags, Transport};

use crate::{
    address::{Address, Ipv4, Ipv6},
    frame::{Bytes, Frame},
};

/// IP protocol number of TCP.
pub const TCP: u8 = 6;
/// IP protocol number of UDP.
pub const UDP: u8 = 17;

/// Reasons why a frame can't be parsed. Each is counted, and the frame passes unless its source is blocked or
/// fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The frame ends within its link layer, or has more than [`MAX_TAGS`] VLAN tags.
    Link,
    /// IPv4 version, header length or total length contradict each other or the frame (RFC 791).
    Ipv4,
    /// IPv6 version or payload length contradict each other or the frame (RFC 8200).
    Ipv6,
    /// The IPv6 extension headers run past the packet, or there are more than [`MAX_EXTENSIONS`].
    Extensions,
    /// The TCP header is cut short or its data offset is impossible (RFC 9293).
    Tcp,
    /// The UDP header is cut short or its length is impossible (RFC 768).
    Udp,
}

/// Returns the first eight bytes of an IP header in host byte order. Lengths are extracted from this word: Linux
/// 6.12's verifier doesn't know that a swapped 16-bit number has only 16 bits, and refuses it as an offset.
#[inline(always)]
fn beginning<B: Bytes>(packet: B, offset: usize) -> Option<u64> {
    packet.read(offset).map(u64::from_be)
}

/// Returns the length of the packet from `offset` on, if it is too long for its length field, which is then 0.
/// Linux merges segments into such packets ("BIG TCP").
#[cold]
#[inline(always)]
fn oversize<F: Frame>(frame: &F, offset: usize) -> Option<usize> {
    let length = frame.length().saturating_sub(offset);
    (length > usize::from(u16::MAX)).then_some(length)
}

/// The part of an IP datagram that a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    /// All of it. Includes IPv6 atomic fragments (RFC 6946).
    Whole,
    /// Its beginning.
    First,
    /// A later part, which has no transport header.
    Later,
}

/// The network layer of a packet whose source is already known.
///
/// The first field is an octet, because in a `Result` it has the same place as the error. With the address there,
/// the compiler would process the address octet by octet everywhere.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<A> {
    /// Number of the transport protocol.
    pub protocol: u8,
    /// Destination address.
    pub destination: A,
    /// Offset of the transport header, in bytes from the start of the frame.
    pub transport: usize,
    /// Number of bytes of transport header and payload in this packet.
    pub remaining: usize,
    /// The part of a datagram in this packet.
    pub fragment: Fragment,
    /// Whether IPv4 options, or IPv6 extension headers other than a fragment header, are present.
    pub options: bool,
    /// Time to live, or hop limit.
    pub ttl: u8,
}

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

/// Returns the bytes from which an IP header behind `link` can be read directly. They start at a constant offset,
/// because for a variable one the verifier doesn't keep the bounds between two checks.
#[inline(always)]
fn near<F: Frame>(frame: &F, link: &Link) -> Option<F::Bytes> {
    (F::IS_BARE || !link.is_deep).then(|| frame.fresh_bytes())
}

impl<A: Address> Datagram<A> {
    /// Parses the transport header as far as the rules need it, from the same frame as the network layer.
    #[inline(always)]
    pub fn transport<F: Frame>(&self, frame: &F) -> Result<Transport, Malformed> {
        transport::transport(frame, self)
    }
}
