//! Parses a frame with etherparse, as far as the rules for probes need.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{
    EtherType, Ethernet2HeaderSlice, IpNumber, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice,
    Ipv6RawExtHeaderSlice, SingleVlanSlice, TcpHeaderSlice, UdpHeaderSlice,
};

/// Maximum number of VLAN tags and extension headers read: more than fit in 9,000 bytes.
const TAGS: usize = 2304;
const EXTENSIONS: usize = 1152;
/// Bytes of a TCP header up to its control bits, and of a UDP header.
const TCP: usize = 16;
const UDP: usize = 8;
/// Maximum value of a 16-bit length field.
const LONGEST: usize = 65_535;
/// RFC 2516: the `EtherType`, and the header's length.
const PPPOE_SESSION: EtherType = EtherType(0x8864);
const PPPOE: usize = 6;

/// The parsed frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// No IP packet.
    NotIp,
    /// A packet behind more tags than are read.
    Buried,
    /// The frame ends before its Ethertype. The string names the counter.
    Unreadable(&'static str),
    /// An IP packet.
    Ip(Ip),
}

/// An IP packet: its source, and the rest of it, or the counter of the error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ip {
    /// `None` if the frame ends before the source address.
    pub source: Option<IpAddr>,
    pub vlan: u16,
    /// Neither link address is a group address, and `is_near` holds.
    pub is_between_hosts: bool,
    /// The link is Ethernet with at most two VLAN tags.
    pub is_near: bool,
    pub rest: Result<Packet, &'static str>,
}

/// An IP packet's fields besides its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub destination: IpAddr,
    /// Protocol number of the payload after the IP headers.
    pub protocol: u8,
    pub part: Part,
    /// It has IPv4 options, or extension headers other than for fragments.
    pub has_options: bool,
    /// The transport header directly follows the IP header's fixed part.
    pub is_bare: bool,
    pub transport: Transport,
    pub answerable: Answerable,
}

/// The properties of a segment that decide whether and how it is answered, besides the control bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent findings")]
pub(super) struct Answerable {
    /// The segment is only a TCP header.
    pub is_header: bool,
    /// The TCP header has options.
    pub has_options: bool,
    pub has_right_checksum: bool,
    /// The checksum covers the pseudo-header alone.
    pub has_partial_checksum: bool,
    /// The IPv4 header's checksum is correct.
    pub has_right_header: bool,
}

/// The part of a datagram that a packet holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    First,
    Later,
}

/// The transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp {
        ports: [u16; 2],
        /// The control bits, CWR highest and FIN lowest.
        flags: u8,
    },
    /// A first fragment without TCP's control bits.
    Tiny {
        ports: [u16; 2],
    },
    Udp {
        ports: [u16; 2],
    },
    /// Behind a chain of extension headers whose end can't be reached.
    Hidden,
    None,
}

/// Parses `frame`.
pub(super) fn dissect(frame: &[u8]) -> Reading {
    const LINK: &str = "malformed_link";
    let Ok(ethernet) = Ethernet2HeaderSlice::from_slice(frame) else { return Reading::Unreadable(LINK) };
    let is_group = |address: [u8; 6]| address[0] & 1 == 1;
    let is_between_hosts = !is_group(ethernet.source()) && !is_group(ethernet.destination());
    let (mut announced, mut at, mut vlan) = (ethernet.ether_type(), ethernet.slice().len(), 0);
    let mut tags = 0;
    while [EtherType::VLAN_TAGGED_FRAME, EtherType::PROVIDER_BRIDGING].contains(&announced) {
        if tags == TAGS {
            return Reading::Buried;
        }
        tags += 1;
        let Ok(tag) = SingleVlanSlice::from_slice(&frame[at..]) else { return Reading::Unreadable(LINK) };
        (announced, vlan) = (tag.ether_type(), tag.vlan_identifier().value());
        at += tag.header_slice().len();
    }
    let is_near = tags <= 2 && announced != PPPOE_SESSION;
    if announced == PPPOE_SESSION {
        at += PPPOE;
        (announced, at) = match frame.get(at..) {
            // A compressed protocol (RFC 1661 section 6.5), and a packet behind it.
            Some([0x21, _, ..]) => (EtherType::IPV4, at + 1),
            Some([0x57, _, ..]) => (EtherType::IPV6, at + 1),
            Some([0, 0x21, ..]) => (EtherType::IPV4, at + 2),
            Some([0, 0x57, ..]) => (EtherType::IPV6, at + 2),
            Some([_, _, ..]) => return Reading::NotIp,
            _ => return Reading::Unreadable(LINK),
        };
    }
    let (source, rest) = match announced {
        EtherType::IPV4 => {
            let source = frame.get(at + 12..at + 16).and_then(|octets| <[u8; 4]>::try_from(octets).ok());
            (source.map(|octets| Ipv4Addr::from(octets).into()), ipv4(frame, at).ok_or("malformed_ipv4"))
        }
        EtherType::IPV6 => {
            let source = frame.get(at + 8..at + 24).and_then(|octets| <[u8; 16]>::try_from(octets).ok());
            (source.map(|octets| Ipv6Addr::from(octets).into()), ipv6(frame, at).ok_or("malformed_ipv6"))
        }
        _ => return Reading::NotIp,
    };
    let source_octets = source;
    let rest = rest.and_then(|network| packet(frame, &network, source_octets, at));
    Reading::Ip(Ip { source, vlan, is_between_hosts: is_between_hosts && is_near, is_near, rest })
}

/// The network layer, with the start and end of its payload.
struct Network {
    destination: IpAddr,
    protocol: IpNumber,
    part: Part,
    has_options: bool,
    is_bare: bool,
    is_hidden: bool,
    at: usize,
    end: usize,
}

/// Returns `None` if the header contradicts itself or the frame.
fn ipv4(frame: &[u8], at: usize) -> Option<Network> {
    let header = Ipv4HeaderSlice::from_slice(&frame[at..]).ok()?;
    let carried = at + header.slice().len();
    let end = if header.total_len() == 0 && frame.len() - at > LONGEST {
        frame.len()
    } else {
        carried + usize::from(header.payload_len().ok()?)
    };
    if end > frame.len() {
        return None;
    }
    let has_options = !header.options().is_empty();
    Some(Network {
        destination: header.destination_addr().into(),
        protocol: header.protocol(),
        part: part(header.fragments_offset().value(), header.more_fragments()),
        has_options,
        is_bare: !has_options,
        is_hidden: false,
        at: carried,
        end,
    })
}

/// Returns `None` if the header contradicts itself or the frame.
fn ipv6(frame: &[u8], start: usize) -> Option<Network> {
    let header = Ipv6HeaderSlice::from_slice(&frame[start..]).ok()?;
    let at = start + header.slice().len();
    // The length is zero in a jumbogram (RFC 2675), and in a packet that Linux merged from several segments.
    let rest = frame.len() - at;
    let is_hop_by_hop = header.next_header() == IpNumber::IPV6_HEADER_HOP_BY_HOP;
    let end = match usize::from(header.payload_length()) {
        0 if is_hop_by_hop || rest > LONGEST => frame.len(),
        payload => at + payload,
    };
    if end > frame.len() {
        return None;
    }
    let mut network = Network {
        destination: header.destination_addr().into(),
        protocol: header.next_header(),
        part: Part::Whole,
        has_options: false,
        is_bare: true,
        is_hidden: false,
        at,
        end,
    };
    network.is_hidden = chain(frame, &mut network).is_none();
    Some(network)
}

/// Follows the extension headers. Returns `None` if it can't reach the last one.
fn chain(frame: &[u8], network: &mut Network) -> Option<()> {
    for number in 0.. {
        let is_extension = [
            IpNumber::IPV6_HEADER_HOP_BY_HOP,
            IpNumber::IPV6_ROUTE_HEADER,
            IpNumber::IPV6_FRAGMENTATION_HEADER,
            IpNumber::AUTHENTICATION_HEADER,
            IpNumber::IPV6_DESTINATION_OPTIONS,
        ]
        .contains(&network.protocol);
        if !is_extension || network.part == Part::Later {
            return Some(());
        }
        network.is_bare = false;
        if number == EXTENSIONS {
            return None;
        }
        network.has_options |= network.protocol != IpNumber::IPV6_FRAGMENTATION_HEADER;
        let rest = &frame[network.at..network.end];
        let (next, length) = match network.protocol {
            IpNumber::IPV6_FRAGMENTATION_HEADER => {
                let header = Ipv6FragmentHeaderSlice::from_slice(rest).ok()?;
                let found = part(header.fragment_offset().value(), header.more_fragments());
                // A second fragment header doesn't complete a partial packet.
                network.part = if found == Part::Whole { network.part } else { found };
                (header.next_header(), header.slice().len())
            }
            // Parsed by hand (RFC 4302 section 2.2): etherparse rejects a header shorter than its fields, Linux
            // doesn't.
            IpNumber::AUTHENTICATION_HEADER => {
                let length = 4 * (usize::from(*rest.get(1)?) + 2);
                (IpNumber(rest[0]), rest.get(..length)?.len())
            }
            _ => {
                let header = Ipv6RawExtHeaderSlice::from_slice(rest).ok()?;
                (header.next_header(), header.slice().len())
            }
        };
        network.at += length;
        network.protocol = next;
    }
    None
}

fn part(offset: u16, more: bool) -> Part {
    match (offset, more) {
        (0, false) => Part::Whole,
        (0, true) => Part::First,
        _ => Part::Later,
    }
}

fn packet(
    frame: &[u8],
    network: &Network,
    source: Option<IpAddr>,
    start: usize,
) -> Result<Packet, &'static str> {
    let Network { destination, protocol, part, has_options, is_bare, is_hidden, at, end } = *network;
    let carried = &frame[at..end];
    let transport = match protocol {
        _ if is_hidden => Transport::Hidden,
        _ if part == Part::Later => Transport::None,
        // RFC 8200 section 4.5: a first fragment contains the upper-layer header.
        IpNumber::TCP if part == Part::First && destination.is_ipv6() && carried.len() < 4 => {
            Transport::Hidden
        }
        IpNumber::UDP if part == Part::First && destination.is_ipv6() && carried.len() < 8 => {
            Transport::Hidden
        }
        IpNumber::TCP => tcp(carried, part).ok_or("malformed_tcp")?,
        IpNumber::UDP => udp(carried, part).ok_or("malformed_udp")?,
        _ => Transport::None,
    };
    let answerable = source.map(|source| answerable(frame, network, source, start)).unwrap_or_default();
    Ok(Packet { destination, protocol: protocol.0, part, has_options, is_bare, transport, answerable })
}

fn answerable(frame: &[u8], network: &Network, source: IpAddr, start: usize) -> Answerable {
    let segment = &frame[network.at..network.end];
    let Ok(header) = TcpHeaderSlice::from_slice(segment) else { return Answerable::default() };
    let pseudo = pseudo([source, network.destination], segment.len());
    Answerable {
        is_header: header.slice().len() == segment.len(),
        has_options: !header.options().is_empty(),
        has_right_checksum: sum(&[&pseudo, segment].concat()) == 0xffff,
        has_partial_checksum: header.checksum() == sum(&pseudo),
        has_right_header: network.destination.is_ipv6() || sum(&frame[start..network.at]) == 0xffff,
    }
}

/// RFC 9293 section 3.1, RFC 8200 section 8.1.
fn pseudo(ends: [IpAddr; 2], length: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    for end in ends {
        match end {
            IpAddr::V4(v4) => bytes.extend(v4.octets()),
            IpAddr::V6(v6) => bytes.extend(v6.octets()),
        }
    }
    bytes.extend([0, 6]);
    bytes.extend(u16::try_from(length).unwrap_or_default().to_be_bytes());
    bytes
}

/// RFC 1071.
fn sum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).expect("sixteen bits")
}

fn tcp(carried: &[u8], part: Part) -> Option<Transport> {
    let ports = |octets: &[u8; 4]| {
        [u16::from_be_bytes([octets[0], octets[1]]), u16::from_be_bytes([octets[2], octets[3]])]
    };
    if part == Part::First && carried.len() < TCP {
        let ports = ports(carried.first_chunk()?);
        return Some(Transport::Tiny { ports });
    }
    // The next fragment holds the rest of a first fragment's header.
    let missing = if part == Part::First { [0; 60].as_slice() } else { &[] };
    let whole = [carried, missing].concat();
    let header = TcpHeaderSlice::from_slice(&whole).ok()?;
    let bits = [
        header.fin(),
        header.syn(),
        header.rst(),
        header.psh(),
        header.ack(),
        header.urg(),
        header.ece(),
        header.cwr(),
    ];
    let flags = (0..).zip(bits).map(|(place, is_set)| u8::from(is_set) << place).sum();
    Some(Transport::Tcp { ports: [header.source_port(), header.destination_port()], flags })
}

fn udp(carried: &[u8], part: Part) -> Option<Transport> {
    let header = UdpHeaderSlice::from_slice(carried).ok()?;
    let is_possible = match usize::from(header.length()) {
        // The length is that of the rest of the packet (RFC 2675 section 4).
        0 => true,
        1..UDP => false,
        length => part == Part::First || length <= carried.len(),
    };
    is_possible.then(|| Transport::Udp { ports: [header.source_port(), header.destination_port()] })
}
