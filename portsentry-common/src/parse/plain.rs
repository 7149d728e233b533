//! Packets of the common make: no IPv4 options or IPv6 extension headers, no fragments, nothing amiss.
//!
//! All packets begin with their `EtherType`, whether or not a VLAN tag came before it, so that one load gives that
//! and the IP header's first fields. Other values are read where they are needed, and on their own: what is read
//! early or together costs registers.

use super::{
    Parse, TCP, UDP, ipv4, ipv6,
    link::{IPV4, IPV6},
    transport::{TCP_HEADER, TcpControl, UDP_HEADER},
};
use crate::{
    address::{Ipv4, Ipv6},
    frame::Bytes,
    gate::Gated,
};

/// Length of the `EtherType`, after which the IP header begins, in bytes.
pub const IP: usize = size_of::<u16>();

/// A packet's first four bytes, as they lie in memory.
pub type Beginning = u32;

/// An address family whose plain packets are read by as few loads as it takes.
pub trait Plain: Parse + Gated {
    /// What says which protocol the packet carries.
    type Carrier: Copy;
    /// Where the transport header begins, in bytes.
    const TRANSPORT: usize;
    /// From where on the packet's length field counts, in bytes.
    const COUNTED: usize;

    /// Whether the packet is of this family, and as far as this much of it tells, plain.
    fn begins(beginning: Beginning) -> bool;

    /// Whether a packet of this family's `EtherType` has its fields where a plain one has them.
    fn is_in_place<B: Bytes>(packet: B) -> bool;

    /// How many bits of the IP header's first 64 come after its length field.
    const AFTER_LENGTH: u32;

    /// The packet's length field. Cut out of a word that was swapped as a whole: older verifiers know no bounds of a half
    /// that was.
    #[inline(always)]
    fn length<B: Bytes>(packet: B) -> Option<usize> {
        packet.read(IP).map(|word| usize::from((u64::from_be(word) >> Self::AFTER_LENGTH) as u16))
    }

    /// What decides on the source's bit in the gate.
    fn prefix<B: Bytes>(packet: B) -> Option<Self::Prefix>;

    /// The part of the packet that says what it carries.
    fn carrier<B: Bytes>(packet: B) -> Option<Self::Carrier>;

    /// Whether that is TCP, and the packet is plain.
    fn is_tcp(carrier: Self::Carrier) -> bool;

    /// Whether that is UDP, and the packet is plain.
    fn is_udp(carrier: Self::Carrier) -> bool;

    /// Whether the packet is plain.
    fn is_plain(carrier: Self::Carrier) -> bool;

    /// Where the packet says it is going.
    fn destination<B: Bytes>(packet: B) -> Option<Self>;

    /// That address's last two octets, as they lie in memory. They end where the transport header begins.
    #[inline(always)]
    fn destination_ending<B: Bytes>(packet: B) -> Option<u16> {
        packet.read(Self::TRANSPORT - 2)
    }

    /// The port in the TCP or UDP header that the packet goes to, host byte order.
    #[inline(always)]
    fn port<B: Bytes>(packet: B) -> Option<u16> {
        packet.read(Self::TRANSPORT + 2).map(u16::from_be)
    }

    /// The part of the TCP header that holds its control bits, or `None` if the packet ends before it.
    #[inline(always)]
    fn tcp<B: Bytes>(packet: B) -> Option<TcpControl> {
        packet.read(Self::TRANSPORT + 12)
    }

    /// Whether nothing is amiss with the packet of that TCP header.
    #[inline(always)]
    fn is_sound_tcp<B: Bytes>(packet: B, control: TcpControl) -> bool {
        let header = control.header();
        header >= TCP_HEADER && Self::is_sound(packet, |payload| header <= payload)
    }

    /// Whether nothing is amiss with the packet and its UDP header, whose length is the packet's.
    #[inline(always)]
    fn is_sound_udp<B: Bytes>(packet: B) -> bool {
        let Some(datagram) = packet.read(Self::TRANSPORT + 4).map(u16::from_be).map(usize::from) else {
            return false;
        };
        datagram >= UDP_HEADER && Self::is_sound(packet, |payload| datagram == payload)
    }

    /// Whether the packet's length fits what it carries, and as much is there to be read. Asked after the transport header
    /// is read: the other way round, the compiler would leave out that header's own check, which the kernel's
    /// verifier insists on.
    #[inline(always)]
    fn is_sound<B: Bytes>(packet: B, fits: impl Fn(usize) -> bool) -> bool {
        let Some(length) = Self::length(packet) else { return false };
        let Some(payload) = length.checked_sub(Self::TRANSPORT - Self::COUNTED) else { return false };
        fits(payload) && packet.reaches(Self::COUNTED + length)
    }
}

/// "More fragments" and fragment offset, and the protocol, in four bytes of the IPv4 header.
const WHOLE_OF: u32 = u32::from_ne_bytes([0x3f, 0xff, 0, 0xff]);

impl Plain for Ipv4 {
    type Carrier = u32;
    const TRANSPORT: usize = IP + ipv4::LEAST;
    const COUNTED: usize = IP;
    const AFTER_LENGTH: u32 = 32;

    /// Version 4 and a header of five words.
    #[inline(always)]
    fn begins(beginning: Beginning) -> bool {
        const SHAPE: Beginning = Beginning::from_ne_bytes([0xff, 0xff, 0xff, 0]);
        const PLAIN: Beginning = {
            let [high, low] = IPV4.to_ne_bytes();
            Beginning::from_ne_bytes([high, low, 0x45, 0])
        };
        beginning & SHAPE == PLAIN
    }

    /// Its header's length says.
    #[inline(always)]
    fn is_in_place<B: Bytes>(packet: B) -> bool {
        packet.read(IP) == Some(0x45_u8)
    }

    #[inline(always)]
    fn prefix<B: Bytes>(packet: B) -> Option<u32> {
        packet.read((IP + ipv4::SOURCE).wrapping_add_signed(Self::PREFIX))
    }

    #[inline(always)]
    fn carrier<B: Bytes>(packet: B) -> Option<u32> {
        packet.read(IP + 6)
    }

    #[inline(always)]
    fn is_tcp(carrier: u32) -> bool {
        carrier & WHOLE_OF == u32::from_ne_bytes([0, 0, 0, TCP])
    }

    #[inline(always)]
    fn is_udp(carrier: u32) -> bool {
        carrier & WHOLE_OF == u32::from_ne_bytes([0, 0, 0, UDP])
    }

    #[inline(always)]
    fn is_plain(carrier: u32) -> bool {
        carrier & u32::from_ne_bytes([0x3f, 0xff, 0, 0]) == 0
    }

    #[inline(always)]
    fn destination<B: Bytes>(packet: B) -> Option<Self> {
        packet.read(IP + ipv4::DESTINATION).map(Self::from_word)
    }
}

impl Plain for Ipv6 {
    type Carrier = u8;
    const TRANSPORT: usize = IP + ipv6::HEADER;
    const COUNTED: usize = IP + ipv6::HEADER;
    const AFTER_LENGTH: u32 = 16;

    /// Version 6.
    #[inline(always)]
    fn begins(beginning: Beginning) -> bool {
        const SHAPE: Beginning = Beginning::from_ne_bytes([0xff, 0xff, 0xf0, 0]);
        const PLAIN: Beginning = {
            let [high, low] = IPV6.to_ne_bytes();
            Beginning::from_ne_bytes([high, low, 0x60, 0])
        };
        beginning & SHAPE == PLAIN
    }

    /// All have: its header is as long as any.
    #[inline(always)]
    fn is_in_place<B: Bytes>(_: B) -> bool {
        true
    }

    #[inline(always)]
    fn prefix<B: Bytes>(packet: B) -> Option<u32> {
        packet.read((IP + ipv6::SOURCE).wrapping_add_signed(Self::PREFIX))
    }

    #[inline(always)]
    fn carrier<B: Bytes>(packet: B) -> Option<u8> {
        packet.read(IP + 6)
    }

    #[inline(always)]
    fn is_tcp(carrier: u8) -> bool {
        carrier == TCP
    }

    #[inline(always)]
    fn is_udp(carrier: u8) -> bool {
        carrier == UDP
    }

    #[inline(always)]
    fn is_plain(carrier: u8) -> bool {
        !ipv6::is_extension(carrier)
    }

    #[inline(always)]
    fn destination<B: Bytes>(packet: B) -> Option<Self> {
        ipv6::address(packet, IP + ipv6::DESTINATION)
    }
}
