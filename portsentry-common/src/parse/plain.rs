//! Ordinary packets: well formed, and without IPv4 options, IPv6 extension headers or fragmentation.
//!
//! All packets begin with their `EtherType`, with or without a VLAN tag before it, so that one load returns it
//! together with the IP header's first fields. Other values are read separately when they are needed, because
//! reading them early or together costs registers.

use super::{
    Parse, ipv4, ipv6,
    link::{IPV4, IPV6},
    protocol::{TCP, UDP},
    transport::{TCP_HEADER, TcpControl, UDP_HEADER},
};
use crate::{
    address::{Ipv4, Ipv6},
    classify,
    frame::Bytes,
    gate::Gated,
};

/// Length in bytes of the `EtherType`, which the IP header follows.
pub const IP: usize = size_of::<u16>();

/// A packet's first four bytes, in memory order.
pub type Beginning = u32;

/// An address family whose ordinary packets are read with as few loads as possible.
pub trait Plain: Parse + Gated {
    /// The part of the header that names the transport protocol.
    type Carrier: Copy;
    /// Offset of the transport header, in bytes.
    const TRANSPORT: usize;
    /// Offset in bytes from which the packet's length field counts.
    const COUNTED: usize;

    /// Whether these bytes are the start of an ordinary packet of this family, as far as they show.
    fn begins(beginning: Beginning) -> bool;

    /// Whether a packet of this family's `EtherType` has its fields at their usual offsets.
    fn is_in_place<B: Bytes>(packet: B) -> bool;

    /// Number of bits after the length field among the IP header's first 64.
    const AFTER_LENGTH: u32;

    /// Returns the packet's length field, extracted from a swapped word: older verifiers lose the bounds of a
    /// swapped half.
    #[inline(always)]
    fn length<B: Bytes>(packet: B) -> Option<usize> {
        packet.read(IP).map(|word| usize::from((u64::from_be(word) >> Self::AFTER_LENGTH) as u16))
    }

    /// Returns the part of the source address that determines its bit in the gate.
    fn prefix<B: Bytes>(packet: B) -> Option<Self::Prefix>;

    /// Returns the part of the header that names the transport protocol.
    fn carrier<B: Bytes>(packet: B) -> Option<Self::Carrier>;

    /// Whether the transport protocol is TCP, and the packet is ordinary.
    fn is_tcp(carrier: Self::Carrier) -> bool;

    /// Whether the transport protocol is UDP, and the packet is ordinary.
    fn is_udp(carrier: Self::Carrier) -> bool;

    /// Whether the packet is ordinary.
    fn is_plain(carrier: Self::Carrier) -> bool;

    /// Returns the source address.
    fn sender<B: Bytes>(packet: B) -> Option<Self>;

    /// Returns the destination address.
    fn destination<B: Bytes>(packet: B) -> Option<Self>;

    /// Returns the last two octets of the destination address, in memory order. The transport header follows them.
    #[inline(always)]
    fn destination_ending<B: Bytes>(packet: B) -> Option<u16> {
        packet.read(Self::TRANSPORT - 2)
    }

    /// Returns the destination port in the TCP or UDP header, in host byte order.
    #[inline(always)]
    fn port<B: Bytes>(packet: B) -> Option<u16> {
        packet.read(Self::TRANSPORT + 2).map(u16::from_be)
    }

    /// Returns the part of the TCP header that holds its control bits, or `None` if the packet ends before it.
    #[inline(always)]
    fn tcp<B: Bytes>(packet: B) -> Option<TcpControl> {
        packet.read(Self::TRANSPORT + 12)
    }

    /// Whether the control bits are those of a SYN, read in another size than [`Self::tcp`]: the compiler would keep the
    /// value of the same read in a register, which would cost an instruction where it isn't needed.
    #[inline(always)]
    fn is_syn<B: Bytes>(packet: B) -> bool {
        packet.read::<u32>(Self::TRANSPORT + 12).is_some_and(classify::is_syn)
    }

    /// Returns the time to live, or the hop limit.
    fn ttl<B: Bytes>(packet: B) -> Option<u8>;

    /// Whether the packet with this TCP header is well formed.
    #[inline(always)]
    fn is_sound_tcp<B: Bytes>(packet: B, control: TcpControl) -> bool {
        let header = control.header();
        header >= TCP_HEADER && Self::is_sound(packet, |payload| header <= payload)
    }

    /// Whether the packet and its UDP header are well formed, and the UDP length matches the packet's.
    #[inline(always)]
    fn is_sound_udp<B: Bytes>(packet: B) -> bool {
        let Some(datagram) = packet.read(Self::TRANSPORT + 4).map(u16::from_be).map(usize::from) else {
            return false;
        };
        datagram >= UDP_HEADER && Self::is_sound(packet, |payload| datagram == payload)
    }

    /// Whether the packet's length fits its content, and all of it can be read. Checked after the transport header
    /// is read: in the other order the compiler omits that header's bounds check, which the verifier requires.
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

    /// Depends on the header's length.
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
    fn ttl<B: Bytes>(packet: B) -> Option<u8> {
        packet.read(IP + 8)
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
    fn sender<B: Bytes>(packet: B) -> Option<Self> {
        packet.read(IP + ipv4::SOURCE).map(Self::from_word)
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

    /// Always true: the header's length is fixed.
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
    fn ttl<B: Bytes>(packet: B) -> Option<u8> {
        packet.read(IP + 7)
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
    fn sender<B: Bytes>(packet: B) -> Option<Self> {
        ipv6::address(packet, IP + ipv6::SOURCE)
    }

    #[inline(always)]
    fn destination<B: Bytes>(packet: B) -> Option<Self> {
        ipv6::address(packet, IP + ipv6::DESTINATION)
    }
}
