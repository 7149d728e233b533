//! Frame to packet: Ethernet with VLAN tags and PPPoE, IPv4, IPv6 with its extension headers, TCP, UDP.
//!
//! Headers are taken apart in the order in which they can be trusted: the link first, then the source address alone
//! (a blocked source is dropped whatever the rest holds), then the rest.

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

/// Why a frame could not be taken apart. Such frames are counted by this cause; they pass, unless their source is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The frame ends within its link layer, or that holds more than [`MAX_TAGS`] VLAN tags.
    Link,
    /// IPv4 version, header length or total length contradict each other or the frame (RFC 791).
    Ipv4,
    /// IPv6 version or payload length contradict each other or the frame (RFC 8200).
    Ipv6,
    /// The IPv6 extension headers run past the packet, or are more than [`MAX_EXTENSIONS`].
    Extensions,
    /// The TCP header is cut short or its data offset is impossible (RFC 9293).
    Tcp,
    /// The UDP header is cut short or its length is impossible (RFC 768).
    Udp,
}

/// An IP header's first eight bytes, in host byte order. Its lengths are cut out of all of them: of a number that was
/// swapped by itself the verifier of Linux 6.12 doesn't know that it has but 16 bits, and refuses it as an offset.
#[inline(always)]
fn beginning<B: Bytes>(packet: B, offset: usize) -> Option<u64> {
    packet.read(offset).map(u64::from_be)
}

/// Length of the packet from `offset` on, if it is too long for its length field, which then is 0: what Linux makes of segments
/// received in a row ("BIG TCP").
#[cold]
#[inline(always)]
fn oversize<F: Frame>(frame: &F, offset: usize) -> Option<usize> {
    let length = frame.length().saturating_sub(offset);
    (length > usize::from(u16::MAX)).then_some(length)
}

/// What of an IP datagram a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    /// All of it, IPv6 atomic fragments included (RFC 6946).
    Whole,
    /// Its beginning.
    First,
    /// A later part, which has no transport header.
    Later,
}

/// The network layer of a packet whose source is already known.
///
/// It begins with an octet because a `Result` of it has its error begin there, too: were that the address, the compiler would
/// handle it by octets wherever it goes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<A> {
    /// The transport protocol's number.
    pub protocol: u8,
    /// Where the packet says it is going.
    pub destination: A,
    /// Offset of the transport header, in bytes from where the parser began.
    pub transport: usize,
    /// Bytes of transport header and payload that this packet carries.
    pub remaining: usize,
    /// Which part of a datagram this is.
    pub fragment: Fragment,
    /// IPv4 options or IPv6 extension headers (other than a fragment header) are present.
    pub options: bool,
    /// Time to live, or hop limit.
    pub ttl: u8,
}

/// Parses what is specific to an address family.
pub trait Parse: Address {
    /// The source address of the packet behind `link`.
    fn source<F: Frame>(frame: &F, link: &Link) -> Result<Self, Malformed>;

    /// The network layer behind `link`.
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

/// The bytes that an IP header behind `link` can be read from directly: those at an offset that is known beforehand. Of one
/// that isn't, the verifier knows no bounds twice.
#[inline(always)]
fn near<F: Frame>(frame: &F, link: &Link) -> Option<F::Bytes> {
    (F::IS_BARE || !link.is_deep).then(|| frame.fresh_bytes())
}

impl<A: Address> Datagram<A> {
    /// The transport header in the frame that the network layer was read from, as far as the rules need it.
    #[inline(always)]
    pub fn transport<F: Frame>(&self, frame: &F) -> Result<Transport, Malformed> {
        transport::transport(frame, self)
    }
}
