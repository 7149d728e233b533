//! Sends and receives raw frames on a namespace's interface.

use std::{
    io::Read,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TcpHeader, TransportSlice};
use nix::{
    libc,
    net::if_::if_nametoindex,
    sys::socket::{MsgFlags, recv},
};
use socket2::{Domain, SockAddr, Socket, Type};

use super::{Family, INTERFACE, Namespace, hardware_address, log::PATIENCE};
use crate::frames::{Layer, Packet, SYN, tcp};

/// Time limit for an answer that should not come.
const IMPATIENCE: Duration = Duration::from_millis(300);

/// A namespace's interface, bypassing the network stack.
#[derive(Debug)]
pub struct Wire {
    socket: Socket,
}

/// A received TCP segment, with its addresses, ports and whole frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its source address and port.
    pub source: SocketAddr,
    /// Its destination address and port.
    pub destination: SocketAddr,
    /// Its TCP header.
    pub tcp: TcpHeader,
    /// Whether all checksums are correct.
    pub is_sound: bool,
    /// The frame, starting with its Ethernet header.
    pub frame: Vec<u8>,
}

impl Wire {
    /// Opens the wire of `namespace`.
    pub fn open(namespace: &Namespace) -> Self {
        Self::open_for(namespace, libc::ETH_P_ALL)
    }

    /// Opens a wire that receives only incoming packets of one address family. Outgoing frames would fill its
    /// buffer.
    pub fn ear(namespace: &Namespace, family: Family) -> Self {
        Self::open_for(
            namespace,
            match family {
                Family::V4 => libc::ETH_P_IP,
                Family::V6 => libc::ETH_P_IPV6,
            },
        )
    }

    /// Opens the wire of another interface, which receives only incoming IPv4 packets.
    pub fn of(namespace: &Namespace, interface: &str) -> Self {
        Self::open_at(namespace, interface, libc::ETH_P_IP)
    }

    /// Opens a wire that receives nothing, so that only sending costs the interface time.
    pub fn mouth(namespace: &Namespace) -> Self {
        Self::open_for(namespace, 0)
    }

    /// Does the same for another interface.
    pub fn mouth_at(namespace: &Namespace, interface: &str) -> Self {
        Self::open_at(namespace, interface, 0)
    }

    fn open_for(namespace: &Namespace, ethertype: libc::c_int) -> Self {
        Self::open_at(namespace, INTERFACE, ethertype)
    }

    fn open_at(namespace: &Namespace, interface: &str, ethertype: libc::c_int) -> Self {
        namespace.enter(|| {
            let protocol = u16::try_from(ethertype).expect("an Ethertype");
            let index = if_nametoindex(interface).expect("the interface's index");
            let kind = socket2::Protocol::from(i32::from(protocol.to_be()));
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(kind)).expect("a packet socket");
            socket.bind(&link_address(protocol, index)).expect("a packet socket is bound");
            socket.set_recv_buffer_size(8 << 20).expect("a buffer");
            Self { socket }
        })
    }

    /// Sends `packet` to the host, or to the router in front of it.
    pub fn send(&self, packet: &Packet) {
        self.send_frame(&Self::frame(packet));
    }

    /// Returns `packet` in a frame from the scanner to the host.
    pub fn frame(packet: &Packet) -> Vec<u8> {
        let [to, own] = [1, 2].map(|number| octets(&hardware_address(number)));
        packet.clone().with(Layer::Link, 0, &to).with(Layer::Link, 6, &own).frame(0)
    }

    /// Sends a SYN from `source` to a watched port of the host.
    pub fn probe(&self, source: IpAddr) {
        let family = Family::of(source);
        let ends = [SocketAddr::new(source, 40_000), SocketAddr::new(family.host(), 11)];
        self.send(&tcp(SYN).from(&ends[0].to_string()).to(&ends[1].to_string()));
    }

    /// Sends a frame as it is.
    pub fn send_frame(&self, frame: &[u8]) {
        self.socket.send(frame).expect("a frame is sent");
    }

    /// Returns the next segment that `is_wanted`; fails if none comes.
    pub fn expect(&self, what: &str, is_wanted: impl Fn(&Segment) -> bool) -> Segment {
        self.next(PATIENCE, is_wanted).unwrap_or_else(|| panic!("{what} did not come"))
    }

    /// Returns the next segment that `is_wanted`, if one comes within a moment.
    pub fn hear(&self, is_wanted: impl Fn(&Segment) -> bool) -> Option<Segment> {
        self.next(IMPATIENCE, is_wanted)
    }

    /// Returns the next frame of any kind, if one comes within `patience`.
    pub fn receive(&self, patience: Duration) -> Option<Vec<u8>> {
        let mut bytes = vec![0; 1 << 11];
        // The kernel rounds a time limit up to its tick, which is too long for a check without waiting.
        let at_once = recv(self.socket.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT).ok();
        let length = at_once.or_else(|| {
            self.socket.set_read_timeout(Some(Some(patience).filter(|it| !it.is_zero())?)).expect("a limit");
            (&self.socket).read(&mut bytes).ok()
        })?;
        bytes.truncate(length);
        Some(bytes)
    }

    fn next(&self, patience: Duration, is_wanted: impl Fn(&Segment) -> bool) -> Option<Segment> {
        let deadline = Instant::now() + patience;
        let mut bytes = vec![0; 1 << 16];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.socket.set_read_timeout(Some(left)).expect("a limit");
            let Ok(length) = (&self.socket).read(&mut bytes) else { continue };
            if let Some(segment) = segment(&bytes[..length]).filter(&is_wanted) {
                return Some(segment);
            }
        }
    }
}

/// Returns the address of stranger `number`, IPv4 for even numbers and IPv6 for odd ones. No interface has it.
pub fn stranger(number: u16) -> IpAddr {
    if number.is_multiple_of(2) {
        Ipv4Addr::from_bits(Ipv4Addr::new(198, 18, 0, 1).to_bits() + u32::from(number)).into()
    } else {
        Ipv6Addr::new(0x2001, 0xdb8, 0x5eed, 0, 0, 0, 0, number).into()
    }
}

/// Returns a SYN with correct checksums from the scanner's interface to the host's. A service answers it.
///
/// # Panics
///
/// If the two addresses are of different families.
pub fn syn(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let link = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1]);
    let network = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => link.ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => link.ipv6(from.octets(), to.octets(), 64),
        _ => panic!("{from} and {to} are of different families"),
    };
    let mut frame = Vec::new();
    network.tcp(from.port(), to.port(), 1, 1024).syn().write(&mut frame, &[]).expect("a frame");
    frame
}

/// Returns the TCP segment in `frame`, if there is one.
pub fn segment(frame: &[u8]) -> Option<Segment> {
    let sliced = SlicedPacket::from_ethernet(frame).ok()?;
    let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else { return None };
    let header = tcp.to_header();
    let (source, destination, expected, is_sound): (IpAddr, IpAddr, _, _) = match sliced.net.as_ref()? {
        NetSlice::Ipv4(ip) => {
            let ip = ip.header();
            let expected = tcp.calc_checksum_ipv4(ip.source(), ip.destination()).ok()?;
            let is_sound = ip.to_header().calc_header_checksum() == ip.header_checksum();
            (ip.source_addr().into(), ip.destination_addr().into(), expected, is_sound)
        }
        NetSlice::Ipv6(ip) => {
            let ip = ip.header();
            let expected = tcp.calc_checksum_ipv6(ip.source(), ip.destination()).ok()?;
            (ip.source_addr().into(), ip.destination_addr().into(), expected, true)
        }
        NetSlice::Arp(_) => return None,
    };
    Some(Segment {
        source: (source, header.source_port).into(),
        destination: (destination, header.destination_port).into(),
        is_sound: is_sound && expected == header.checksum,
        tcp: header,
        frame: frame.to_vec(),
    })
}

/// Returns an interface's address for packet sockets (packet(7)).
pub fn link_address(protocol: u16, index: u32) -> SockAddr {
    let init = |storage: *mut socket2::SockAddrStorage, length: *mut libc::socklen_t| {
        let address = libc::sockaddr_ll {
            sll_family: libc::sa_family_t::try_from(libc::AF_PACKET).unwrap_or_default(),
            sll_protocol: protocol.to_be(),
            sll_ifindex: index.cast_signed(),
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        // SAFETY: the storage has room for every socket address.
        unsafe { storage.cast::<libc::sockaddr_ll>().write(address) };
        // SAFETY: the length is that of the storage.
        unsafe {
            length.write(libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).unwrap_or_default());
        };
        Ok(())
    };
    // SAFETY: the closure writes a whole address of its family, and the address's length.
    let address = unsafe { SockAddr::try_init(init) };
    address.expect("writing an address can't fail").1
}

fn octets(hardware_address: &str) -> Vec<u8> {
    hardware_address.split(':').map(|octet| u8::from_str_radix(octet, 16).expect("an octet")).collect()
}
