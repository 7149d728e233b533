//! The packets that begin a connection, or answer that.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    Icmpv4Type, Icmpv6Type, LaxNetSlice, LaxSlicedPacket, TcpSlice, TransportSlice,
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
        let (source, destination, id) = match frame.net.as_ref()? {
            LaxNetSlice::Ipv4(ip) => {
                let header = ip.header();
                let [source, destination] = [header.source_addr(), header.destination_addr()].map(IpAddr::V4);
                (source, destination, Some(header.identification()))
            }
            LaxNetSlice::Ipv6(ip) => {
                let header = ip.header();
                let [source, destination] = [header.source_addr(), header.destination_addr()].map(IpAddr::V6);
                (source, destination, None)
            }
            LaxNetSlice::Arp(_) => return None,
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

/// Returns the refusal of the SYN that an ICMP error quotes. Eight bytes of its TCP header are enough.
fn quoted(quote: &[u8]) -> Option<Packet> {
    const TCP: u8 = 6;
    let (addresses, protocol, length) = match quote.first()? >> 4 {
        4 => {
            let length = 4 * usize::from(quote[0] & 0xf);
            let address = |at: usize| Some(IpAddr::from(*quote.get(at..at + 4)?.first_chunk::<4>()?));
            ([address(12)?, address(16)?], *quote.get(9)?, length)
        }
        6 => {
            let address = |at: usize| Some(IpAddr::from(*quote.get(at..at + 16)?.first_chunk::<16>()?));
            ([address(8)?, address(24)?], *quote.get(6)?, 40)
        }
        _ => return None,
    };
    let port = |at: usize| Some(u16::from_be_bytes(*quote.get(length + at..length + at + 2)?.first_chunk()?));
    let [client, server] = addresses;
    let ends = Ends { client: (client, port(0)?).into(), server: (server, port(2)?).into() };
    (protocol == TCP).then_some(Packet::Refuses(ends))
}

/// Returns the shape of a SYN.
fn shape(tcp: &TcpSlice<'_>, to: SocketAddr, id: Option<u16>) -> Shape {
    let is_mirai = matches!(to.ip(), IpAddr::V4(address) if address.to_bits() == tcp.sequence_number());
    Shape::of(tcp.data_offset(), tcp.window_size(), id == Some(ZMAP) || is_mirai)
}
