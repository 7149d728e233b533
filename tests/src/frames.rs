//! Frames as they might arrive, valid or damaged, built from readable descriptions.
//!
//! Transport checksums are zero by default: a probe with a wrong checksum counts like any other.

mod headers;
mod segment;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub use headers::{ACK, CWR, ECE, Extension, FIN, PSH, RST, SYN, URG, XMAS};
pub use segment::{Checksum, Segment};

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The Ethernet header.
    Link,
    /// The IP header.
    Network,
    /// The transport header, after IPv4 options and IPv6 extension headers.
    Transport,
}

/// The part of a datagram in a packet, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    offset: usize,
    length: usize,
    more: bool,
}

/// A packet under construction.
#[derive(Clone, Debug)]
pub struct Packet {
    source: Option<SocketAddr>,
    destination: SocketAddr,
    tags: Vec<(u16, u16)>,
    ethertype: Option<u16>,
    session: Option<Vec<u8>>,
    options: usize,
    extensions: Vec<Extension>,
    segment: Segment,
    tcp_options: Vec<u8>,
    numbers: Option<[u32; 2]>,
    checksum: Checksum,
    payload: usize,
    part: Option<Part>,
    damage: Vec<(Layer, usize, Vec<u8>)>,
    end: Option<(Layer, usize)>,
    padding: usize,
}

/// A TCP segment with these control bits.
#[must_use]
pub fn tcp(flags: u8) -> Packet {
    Packet::new(Segment::Tcp(flags))
}

/// A SYN as operating systems send it, with options.
#[must_use]
pub fn ordinary_syn() -> Packet {
    tcp(SYN).tcp_options(&[2, 4, 5, 180, 1, 1, 4, 2])
}

/// A UDP datagram.
#[must_use]
pub fn udp() -> Packet {
    Packet::new(Segment::Udp)
}

/// A packet of another protocol.
#[must_use]
pub fn protocol(number: u8) -> Packet {
    Packet::new(Segment::Other(number))
}

/// Returns the default source address of `seat`, in the bystanders' documentation networks.
#[must_use]
pub fn seat(number: u8, version_of: SocketAddr) -> SocketAddr {
    const PORT: u16 = 40_000;
    let address: IpAddr = match version_of {
        SocketAddr::V4(_) => Ipv4Addr::new(192, 0, 2, number).into(),
        SocketAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, number.into()).into(),
    };
    (address, PORT).into()
}

impl Packet {
    fn new(segment: Segment) -> Self {
        Self {
            source: None,
            destination: (Ipv4Addr::UNSPECIFIED, 0).into(),
            tags: Vec::new(),
            ethertype: None,
            session: None,
            options: 0,
            extensions: Vec::new(),
            segment,
            tcp_options: Vec::new(),
            numbers: None,
            checksum: Checksum::Zero,
            payload: 0,
            part: None,
            damage: Vec::new(),
            end: None,
            padding: 0,
        }
    }

    /// Sets the source address and port, such as `192.0.2.1:40000` or `[2001:db8::1]:40000`.
    #[must_use]
    pub fn from(mut self, source: &str) -> Self {
        self.source = Some(source.parse().expect("an address and port"));
        self
    }

    /// Sets the destination address and port.
    #[must_use]
    pub fn to(mut self, destination: &str) -> Self {
        self.destination = destination.parse().expect("an address and port");
        self
    }

    /// Adds a VLAN tag (IEEE 802.1Q).
    #[must_use]
    pub fn vlan(mut self, identifier: u16) -> Self {
        self.tags.push((0x8100, identifier));
        self
    }

    /// Adds a service tag (IEEE 802.1ad).
    #[must_use]
    pub fn service_vlan(mut self, identifier: u16) -> Self {
        self.tags.push((0x88a8, identifier));
        self
    }

    /// Puts the packet in a PPPoE session, with this PPP protocol number of one or two octets.
    #[must_use]
    pub fn session(mut self, number: &[u8]) -> Self {
        self.session = Some(number.to_vec());
        self
    }

    /// Sets a wrong `EtherType`.
    #[must_use]
    pub fn announced_as(mut self, ethertype: u16) -> Self {
        self.ethertype = Some(ethertype);
        self
    }

    /// Adds `length` bytes of IPv4 options, a multiple of 4 up to 40.
    #[must_use]
    pub fn ipv4_options(mut self, length: usize) -> Self {
        self.options = length;
        self
    }

    /// Adds an IPv6 extension header.
    #[must_use]
    pub fn extension(mut self, extension: Extension) -> Self {
        self.extensions.push(extension);
        self
    }

    /// Sets the TCP options, in whole words.
    #[must_use]
    pub fn tcp_options(mut self, options: &[u8]) -> Self {
        self.tcp_options = options.to_vec();
        self
    }

    /// Sets the TCP sequence number, and the number that the segment acknowledges.
    #[must_use]
    pub fn numbers(mut self, sequence: u32, acknowledged: u32) -> Self {
        self.numbers = Some([sequence, acknowledged]);
        self
    }

    /// Sets the TCP checksum.
    #[must_use]
    pub fn checksum(mut self, checksum: Checksum) -> Self {
        self.checksum = checksum;
        self
    }

    /// Sets the length of the payload behind the transport header.
    #[must_use]
    pub fn payload(mut self, length: usize) -> Self {
        self.payload = length;
        self
    }

    /// Keeps only the first `length` bytes from the transport header on, as a first fragment.
    #[must_use]
    pub fn first_fragment(self, length: usize) -> Self {
        self.fragment(Part { offset: 0, length, more: true })
    }

    /// Keeps only the bytes after the first `offset` from the transport header on, as the last fragment.
    #[must_use]
    pub fn last_fragment(self, offset: usize) -> Self {
        self.fragment(Part { offset, length: usize::MAX, more: false })
    }

    /// Keeps only `length` bytes from `offset` on, as a middle fragment.
    #[must_use]
    pub fn middle_fragment(self, offset: usize, length: usize) -> Self {
        self.fragment(Part { offset, length, more: true })
    }

    /// Keeps only the first `length` bytes from the transport header on, with a matching IP header.
    #[must_use]
    pub fn carrying(mut self, length: usize) -> Self {
        self.part = Some(Part { offset: 0, length, more: false });
        self
    }

    /// Overwrites the bytes at `offset` in `layer`.
    #[must_use]
    pub fn with(mut self, layer: Layer, offset: usize, bytes: &[u8]) -> Self {
        self.damage.push((layer, offset, bytes.to_vec()));
        self
    }

    /// Ends the frame `length` bytes into `layer`, whatever the headers say.
    #[must_use]
    pub fn cut(mut self, layer: Layer, length: usize) -> Self {
        self.end = Some((layer, length));
        self
    }

    /// Adds bytes behind the IP packet, as in short Ethernet frames.
    #[must_use]
    pub fn padding(mut self, length: usize) -> Self {
        self.padding = length;
        self
    }

    fn fragment(mut self, part: Part) -> Self {
        if self.destination.is_ipv6() {
            let offset = u16::try_from(part.offset).expect("an offset in a datagram");
            self.extensions.push(Extension::Fragment { offset, more: part.more });
        }
        self.part = Some(part);
        self
    }

    /// Returns its source when sent from `seat`.
    #[must_use]
    pub fn source(&self, number: u8) -> SocketAddr {
        self.source.unwrap_or_else(|| seat(number, self.destination))
    }

    /// Returns its destination.
    #[must_use]
    pub fn destination(&self) -> SocketAddr {
        self.destination
    }

    /// Returns the content behind the IP headers.
    #[must_use]
    pub fn segment(&self) -> Segment {
        self.segment
    }

    /// Whether it has IPv4 options, or extension headers other than for fragments.
    #[must_use]
    pub fn has_options(&self) -> bool {
        let is_option = |extension: &Extension| !matches!(extension, Extension::Fragment { .. });
        self.options > 0 || self.extensions.iter().any(is_option)
    }

    /// Returns the identifier of the innermost VLAN tag, 0 without one.
    #[must_use]
    pub fn innermost_vlan(&self) -> u16 {
        self.tags.last().map_or(0, |(_, identifier)| *identifier)
    }

    /// Returns the frame, sent from `seat` unless the packet has its own source.
    #[must_use]
    pub fn frame(&self, seat: u8) -> Vec<u8> {
        const SESSION: u16 = 0x8864;
        let own = self.session.as_ref().map_or_else(|| self.own_ethertype(), |_| SESSION);
        let mut frame = headers::link(&self.tags, self.ethertype.unwrap_or(own));
        let segment = self.carried(seat);
        let packet = self.network(seat, &segment);
        frame.extend(self.session.iter().flat_map(|number| headers::session(number, packet.len())));
        let network = frame.len();
        frame.extend(packet);
        let transport = frame.len() - segment.len();
        frame.resize(frame.len() + self.padding, 0);
        let start = |layer: Layer| match layer {
            Layer::Link => 0,
            Layer::Network => network,
            Layer::Transport => transport,
        };
        for (layer, offset, bytes) in &self.damage {
            let at = start(*layer) + offset;
            frame[at..at + bytes.len()].copy_from_slice(bytes);
        }
        if let Some((layer, length)) = self.end {
            frame.truncate(start(layer) + length);
        }
        frame
    }

    fn own_ethertype(&self) -> u16 {
        if self.destination.is_ipv4() { 0x0800 } else { 0x86dd }
    }

    fn carried(&self, seat: u8) -> Vec<u8> {
        let ports = (self.source(seat).port(), self.destination.port());
        let mut whole = headers::transport(self.segment, ports, &self.tcp_options, self.payload);
        if let Segment::Tcp(_) = self.segment {
            for (at, number) in [4, 8].into_iter().zip(self.numbers.into_iter().flatten()) {
                whole[at..at + 4].copy_from_slice(&number.to_be_bytes());
            }
            let ends = [self.source(seat).ip(), self.destination.ip()];
            headers::set_checksum(&mut whole, ends, self.checksum);
        }
        let Some(Part { offset, length, .. }) = self.part else { return whole };
        whole.into_iter().skip(offset).take(length).collect()
    }

    fn network(&self, seat: u8, segment: &[u8]) -> Vec<u8> {
        let protocol = headers::number(self.segment);
        match (self.source(seat).ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let fragment = self.part.map_or((0, false), |part| (part.offset, part.more));
                headers::ipv4((source, destination), protocol, self.options, fragment, segment)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                headers::ipv6((source, destination), protocol, &self.extensions, segment)
            }
            ends => panic!("a packet can't join two address families: {ends:?}"),
        }
    }
}
