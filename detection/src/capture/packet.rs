//! The packets that begin a connection, or answer that.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    Icmpv4Type, Icmpv6Type, IpNumber, LaxNetSlice, LaxSlicedPacket, TcpSlice, TransportSlice,
    icmpv4::DestUnreachableHeader, icmpv6::DestUnreachableCode,
};
use portsentry_common::scan::{Shape, ZMAP};

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ends {
    /// The end that sent the SYN.
    pub client: SocketAddr,
    /// The other one.
    pub server: SocketAddr,
}

/// A packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// A SYN.
    Syn(Ends, Shape),
    /// A SYN-ACK, for which a SYN may have come.
    Accepts(Ends),
    /// A RST, or an ICMP error that says that the port is closed or prohibited.
    Refuses(Ends),
}

impl Packet {
    /// Returns the packet in a frame, or `None` if it is another one.
    pub fn of(frame: &LaxSlicedPacket<'_>) -> Option<Self> {
        let net = frame.net.as_ref()?;
        let [source, destination] = addresses(net)?;
        let id = match net {
            LaxNetSlice::Ipv4(ip) => Some(ip.header().identification()),
            LaxNetSlice::Ipv6(_) | LaxNetSlice::Arp(_) => None,
        };
        match frame.transport.as_ref()? {
            TransportSlice::Tcp(tcp) => {
                let [source, destination] =
                    [(source, tcp.source_port()), (destination, tcp.destination_port())]
                        .map(SocketAddr::from);
                let forth = Ends { client: source, server: destination };
                let back = Ends { client: destination, server: source };
                match (tcp.syn(), tcp.ack(), tcp.rst(), tcp.fin()) {
                    (true, false, false, false) => Some(Self::Syn(forth, shape(tcp, destination, id))),
                    (true, true, false, false) => Some(Self::Accepts(back)),
                    (_, _, true, _) => Some(Self::Refuses(back)),
                    _ => None,
                }
            }
            TransportSlice::Icmpv4(icmp) => {
                use DestUnreachableHeader::{FilterProhibited, HostProhibited, Port};
                let is_refusal = matches!(
                    icmp.icmp_type(),
                    Icmpv4Type::DestinationUnreachable(Port | HostProhibited | FilterProhibited)
                );
                is_refusal.then(|| quoted(icmp.payload())).flatten()
            }
            TransportSlice::Icmpv6(icmp) => {
                use DestUnreachableCode::{Port, Prohibited};
                let is_refusal =
                    matches!(icmp.icmp_type(), Icmpv6Type::DestinationUnreachable(Port | Prohibited));
                is_refusal.then(|| quoted(icmp.payload())).flatten()
            }
            TransportSlice::Udp(_) | TransportSlice::Igmp(_) => None,
        }
    }
}

/// Returns the source and destination of an IP packet.
fn addresses(net: &LaxNetSlice<'_>) -> Option<[IpAddr; 2]> {
    match net {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            Some([header.source_addr(), header.destination_addr()].map(IpAddr::V4))
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            Some([header.source_addr(), header.destination_addr()].map(IpAddr::V6))
        }
        LaxNetSlice::Arp(_) => None,
    }
}

/// Returns the refusal of the SYN that an ICMP error quotes. The ports are enough of its TCP header: eight bytes of it
/// may be all that is quoted.
fn quoted(quote: &[u8]) -> Option<Packet> {
    let net = LaxSlicedPacket::from_ip(quote).ok()?.net?;
    let [client, server] = addresses(&net)?;
    let quoted = net.ip_payload_ref()?;
    let [a, b, c, d] = *quoted.payload.first_chunk()?;
    let [client, server] =
        [(client, u16::from_be_bytes([a, b])), (server, u16::from_be_bytes([c, d]))].map(SocketAddr::from);
    (quoted.ip_number == IpNumber::TCP).then_some(Packet::Refuses(Ends { client, server }))
}

/// Returns the shape of a SYN.
fn shape(tcp: &TcpSlice<'_>, to: SocketAddr, id: Option<u16>) -> Shape {
    let is_mirai = matches!(to.ip(), IpAddr::V4(address) if address.to_bits() == tcp.sequence_number());
    Shape::of(tcp.data_offset(), tcp.window_size(), id == Some(ZMAP) || is_mirai)
}
