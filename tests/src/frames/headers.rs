//! Single headers, built with etherparse.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{
    EtherType, Ethernet2Header, IpAuthHeader, IpFragOffset, IpNumber, Ipv4Header, Ipv6FragmentHeader,
    Ipv6Header, Ipv6RawExtHeader, SingleVlanHeader, TcpHeader, UdpHeader, VlanId, VlanPcp,
};

use super::segment::{Checksum, Segment};

/// TCP's control bits (RFC 9293 section 3.1, RFC 3168), defined independently of the rules.
pub const FIN: u8 = 1;
/// Synchronise.
pub const SYN: u8 = 2;
/// Reset.
pub const RST: u8 = 4;
/// Push.
pub const PSH: u8 = 8;
/// Acknowledge.
pub const ACK: u8 = 16;
/// Urgent.
pub const URG: u8 = 32;
/// ECN echo.
pub const ECE: u8 = 64;
/// Congestion window reduced.
pub const CWR: u8 = 128;
/// The flags of `nmap -sX`.
pub const XMAS: u8 = FIN | PSH | URG;

const HOPS: u8 = 64;

/// An IPv6 extension header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Hop-by-hop options, length in units of eight octets.
    HopByHop(usize),
    /// A routing header, length in units of eight octets.
    Routing(usize),
    /// Destination options, length in units of eight octets.
    DestinationOptions(usize),
    /// A fragment header.
    Fragment {
        /// In bytes, a multiple of 8.
        offset: u16,
        /// Whether further fragments follow.
        more: bool,
    },
    /// An authentication header with a check value of this length, a multiple of 4.
    Authentication(usize),
}

impl Extension {
    /// A fragment header around a whole datagram (RFC 6946).
    pub const ATOMIC_FRAGMENT: Self = Self::Fragment { offset: 0, more: false };

    fn number(self) -> IpNumber {
        match self {
            Self::HopByHop(_) => IpNumber::IPV6_HEADER_HOP_BY_HOP,
            Self::Routing(_) => IpNumber::IPV6_ROUTE_HEADER,
            Self::DestinationOptions(_) => IpNumber::IPV6_DESTINATION_OPTIONS,
            Self::Fragment { .. } => IpNumber::IPV6_FRAGMENTATION_HEADER,
            Self::Authentication(_) => IpNumber::AUTHENTICATION_HEADER,
        }
    }

    fn bytes(self, next: IpNumber) -> Vec<u8> {
        match self {
            Self::HopByHop(octets) | Self::Routing(octets) | Self::DestinationOptions(octets) => {
                let payload = vec![0; 8 * octets - 2];
                Ipv6RawExtHeader::new_raw(next, &payload).expect("octets times eight").to_bytes().to_vec()
            }
            Self::Fragment { offset, more } => {
                let offset = IpFragOffset::try_new(offset / 8).expect("an offset in a datagram");
                Ipv6FragmentHeader::new(next, offset, more, 1).to_bytes().to_vec()
            }
            Self::Authentication(length) => {
                let check = vec![0; length];
                IpAuthHeader::new(next, 1, 1, &check).expect("words of a check value").to_bytes().to_vec()
            }
        }
    }
}

/// Returns the Ethernet header and VLAN tags, given as `EtherType` and identifier.
pub(super) fn link(tags: &[(u16, u16)], payload: u16) -> Vec<u8> {
    let announced = tags.iter().map(|(tag, _)| *tag).chain([payload]);
    let mut announced = announced.map(EtherType);
    let ether_type = announced.next().unwrap_or_default();
    let mut bytes = Ethernet2Header { source: [2; 6], destination: [6; 6], ether_type }.to_bytes().to_vec();
    for ((_, identifier), ether_type) in tags.iter().zip(announced) {
        let vlan_id = VlanId::try_new(*identifier).expect("twelve bits");
        // The priority and eligibility bits share a field with the identifier, and must not affect it.
        let pcp = VlanPcp::try_new(5).expect("three bits");
        bytes.extend(SingleVlanHeader { pcp, drop_eligible_indicator: true, vlan_id, ether_type }.to_bytes());
    }
    bytes
}

/// Returns the header of a PPPoE session (RFC 2516), and the PPP protocol number, for a packet of this length.
pub(super) fn session(number: &[u8], packet: usize) -> Vec<u8> {
    let length = u16::try_from(number.len() + packet).expect("a packet's length");
    [&[0x11, 0, 0, 1], &length.to_be_bytes()[..], number].concat()
}

/// Returns an IPv4 packet; `offset` is in bytes.
pub(super) fn ipv4(
    (source, destination): (Ipv4Addr, Ipv4Addr),
    protocol: IpNumber,
    options: usize,
    (offset, more): (usize, bool),
    segment: &[u8],
) -> Vec<u8> {
    let ends = [source.octets(), destination.octets()];
    let mut header = Ipv4Header::new(0, HOPS, protocol, ends[0], ends[1]).expect("no payload");
    // No operation (RFC 791); etherparse's default of zeroes would be "end of options".
    header.options = vec![1; options].as_slice().try_into().expect("words of options");
    header.set_payload_len(segment.len()).expect("a datagram's length");
    let units = u16::try_from(offset / 8).expect("an offset in a datagram");
    header.fragment_offset = IpFragOffset::try_new(units).expect("an offset in a datagram");
    header.more_fragments = more;
    header.dont_fragment = offset == 0 && !more;
    header.header_checksum = header.calc_header_checksum();
    [&header.to_bytes(), segment].concat()
}

/// Returns an IPv6 packet.
pub(super) fn ipv6(
    (source, destination): (Ipv6Addr, Ipv6Addr),
    protocol: IpNumber,
    extensions: &[Extension],
    segment: &[u8],
) -> Vec<u8> {
    let mut next_header = protocol;
    let mut payload = segment.to_vec();
    for extension in extensions.iter().rev() {
        payload.splice(..0, extension.bytes(next_header));
        next_header = extension.number();
    }
    let header = Ipv6Header {
        payload_length: u16::try_from(payload.len()).expect("a datagram's length"),
        next_header,
        hop_limit: HOPS,
        source: source.octets(),
        destination: destination.octets(),
        ..Ipv6Header::default()
    };
    [&header.to_bytes()[..], &payload].concat()
}

/// Returns a segment's IP protocol number.
pub(super) fn number(segment: Segment) -> IpNumber {
    match segment {
        Segment::Tcp(_) => IpNumber::TCP,
        Segment::Udp => IpNumber::UDP,
        Segment::Other(number) => IpNumber(number),
    }
}

/// Returns the transport header and payload. `ports` are source and destination, in host byte order.
pub(super) fn transport(segment: Segment, ports: (u16, u16), options: &[u8], payload: usize) -> Vec<u8> {
    let mut bytes = match segment {
        Segment::Tcp(flags) => tcp(flags, ports, options),
        Segment::Udp => {
            let length = u16::try_from(UdpHeader::LEN + payload).expect("a datagram's length");
            UdpHeader { source_port: ports.0, destination_port: ports.1, length, checksum: 0 }
                .to_bytes()
                .to_vec()
        }
        // ICMP's echo request, or any other eight bytes.
        Segment::Other(_) => vec![8, 0, 0, 0, 0, 1, 0, 1],
    };
    bytes.resize(bytes.len() + payload, b'x');
    bytes
}

/// Sets the TCP checksum of a whole segment between these addresses (RFC 9293 section 3.1, RFC 8200 section 8.1).
pub(super) fn set_checksum(segment: &mut [u8], [source, destination]: [IpAddr; 2], checksum: Checksum) {
    let octets = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let length = u16::try_from(segment.len()).expect("a segment's length").to_be_bytes();
    let pseudo = [octets(source), octets(destination), vec![0, 6, length[0], length[1]]].concat();
    let sum = match checksum {
        Checksum::Zero => return,
        Checksum::Right => !sum(&[&pseudo, &*segment].concat()),
        Checksum::Partial => sum(&pseudo),
    };
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
}

/// Returns the sum of the 16-bit words (RFC 1071).
fn sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum >> 16 != 0 {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    u16::try_from(sum).expect("sixteen bits")
}

fn tcp(flags: u8, (source_port, port): (u16, u16), options: &[u8]) -> Vec<u8> {
    let is_set = |bit: u8| flags & bit != 0;
    let mut header = TcpHeader {
        fin: is_set(FIN),
        syn: is_set(SYN),
        rst: is_set(RST),
        psh: is_set(PSH),
        ack: is_set(ACK),
        urg: is_set(URG),
        ece: is_set(ECE),
        cwr: is_set(CWR),
        ..TcpHeader::new(source_port, port, 1, 1024)
    };
    header.set_options_raw(options).expect("words of options");
    header.to_bytes().to_vec()
}
