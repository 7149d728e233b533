//! Queries the kernel's socket tables for a service or connection that explains a packet.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::{BPF_F_CURRENT_NETNS, bpf_sock, xdp_md},
    helpers::generated::{bpf_sk_lookup_udp, bpf_sk_release, bpf_skc_lookup_tcp, bpf_tcp_check_syncookie},
};
use portsentry_common::{
    address::{Ipv4, Ipv6},
    challenge::Challenged,
    classify::{Kind, Probe, Protocol},
    environment::Connection,
    flow::Flow,
    frame::Bytes,
    parse::{IP, Plain},
};

use crate::frame::Packet;

/// Length of a TCP header without options, in bytes.
const TCP_HEADER: usize = 20;
/// `TCP_TIME_WAIT` (`include/net/tcp_states.h` in the kernel).
const TIME_WAIT: u32 = 6;
/// `TCP_ESTABLISHED` (same file).
const ESTABLISHED: u32 = 1;
/// `TCP_SYN_RECV` and `TCP_NEW_SYN_RECV` (same file).
const SYN_RECEIVED: u32 = 3;
const NEW_SYN_RECEIVED: u32 = 12;
/// `TCP_LISTEN` (same file).
pub const LISTEN: u32 = 10;

/// An address family's `bpf_sock_tuple`.
pub trait Tuple: Copy {
    /// Source address, destination address, source port and destination port, in network byte order.
    type Words;
    /// Its size in bytes, which the words may exceed.
    const SIZE: u32;

    /// Returns the tuple of `flow`, with `source_port` (host byte order) as its source port.
    fn tuple(flow: &Flow<Self>, source_port: u16) -> Self::Words;
}

impl Tuple for Ipv4 {
    type Words = [u32; 3];

    const SIZE: u32 = 12;

    #[inline(always)]
    fn tuple(flow: &Flow<Self>, source_port: u16) -> [u32; 3] {
        let ports = ports(source_port, flow.probe.port);
        [bytemuck::cast(flow.source), bytemuck::cast(flow.destination), ports]
    }
}

impl Tuple for Ipv6 {
    type Words = [u64; 5];

    const SIZE: u32 = 36;

    #[inline(always)]
    fn tuple(flow: &Flow<Self>, source_port: u16) -> [u64; 5] {
        let [a, b] = flow.source.halves();
        let [c, d] = flow.destination.halves();
        [a, b, c, d, u64::from(ports(source_port, flow.probe.port))]
    }
}

#[inline(always)]
fn ports(source_port: u16, port: u16) -> u32 {
    u32::from(source_port.to_be()) | u32::from(port.to_be()) << 16
}

/// Whether a TCP socket explains `flow`: a listener on the destination, or a connection between the two ends. A
/// socket in TIME-WAIT explains only segments of a connection.
///
/// `own` is the port of the daemon's trap, which is no service, or 0 for none.
#[inline(always)]
pub fn explains_tcp<A: Tuple>(context: *mut c_void, flow: &Flow<A>, own: u32) -> bool {
    match tcp_state::<A>(context, flow, flow.probe.source_port, own) {
        None => false,
        Some(TIME_WAIT) => flow.probe.kind.is_connected() || tcp_state::<A>(context, flow, 0, own).is_some(),
        Some(_) => true,
    }
}

/// Returns the state of the socket that a segment of `flow` from `source_port` would reach. A segment from port 0
/// can reach only a listener.
#[inline(always)]
fn tcp_state<A: Tuple>(context: *mut c_void, flow: &Flow<A>, source_port: u16, own: u32) -> Option<u32> {
    let mut tuple = A::tuple(flow, source_port);
    // SAFETY: the context comes from the kernel. The tuple is initialised, and has the size of its address family.
    let socket = unsafe {
        bpf_skc_lookup_tcp(context, (&raw mut tuple).cast(), A::SIZE, BPF_F_CURRENT_NETNS as i64 as u64, 0)
    };
    if socket.is_null() {
        return None;
    }
    // SAFETY: the look-up returned a referenced socket.
    let (state, port) = unsafe { ((*socket).state, (*socket).src_port) };
    release(socket);
    // The look-up also runs `sk_lookup` programs. PortSentry's leads to the trap, any other to a service on any
    // port.
    let is_own = state == LISTEN && port == own && port != u32::from(flow.probe.port);
    if is_own { None } else { Some(state) }
}

/// Returns the connection between the two ends that accepts the segments of `flow`.
#[inline(always)]
pub fn connection<A: Tuple>(context: *mut c_void, flow: &Flow<A>) -> Connection {
    match tcp_state::<A>(context, flow, flow.probe.source_port, 0) {
        None | Some(LISTEN) => Connection::None,
        Some(ESTABLISHED) => Connection::Established,
        Some(SYN_RECEIVED | NEW_SYN_RECEIVED) => Connection::Beginning,
        Some(_) => Connection::Passing,
    }
}

/// Whether a UDP socket explains `flow`: one bound on the destination and not connected elsewhere.
#[inline(always)]
pub fn explains_udp<A: Tuple>(context: *mut c_void, flow: &Flow<A>, own: u32) -> bool {
    udp_socket(context, flow).is_some_and(|socket| {
        // SAFETY: the look-up returned a referenced socket.
        let port = unsafe { (*socket).src_port };
        release(socket);
        // As for TCP.
        port == u32::from(flow.probe.port) || port != own
    })
}

/// Whether a UDP socket expects the datagrams of `flow`: one connected to its source, or one on a port from
/// `first_ephemeral` up, which only this host's own requests use.
#[inline(always)]
pub fn is_expected<A: Tuple>(context: *mut c_void, flow: &Flow<A>, first_ephemeral: u32, own: u32) -> bool {
    udp_socket(context, flow).is_some_and(|socket| {
        // SAFETY: the look-up returned a referenced socket.
        let (peer, port) = unsafe { ((*socket).dst_port, (*socket).src_port) };
        release(socket);
        // A datagram that was steered to the trap is no answer.
        peer != 0 || port >= first_ephemeral && (port == u32::from(flow.probe.port) || port != own)
    })
}

/// Returns the socket that a datagram of `flow` would reach; the caller releases it.
#[inline(always)]
fn udp_socket<A: Tuple>(context: *mut c_void, flow: &Flow<A>) -> Option<*mut bpf_sock> {
    let Probe { source_port, .. } = flow.probe;
    let mut tuple = A::tuple(flow, source_port);
    // SAFETY: as for TCP.
    let socket = unsafe {
        bpf_sk_lookup_udp(context, (&raw mut tuple).cast(), A::SIZE, BPF_F_CURRENT_NETNS as i64 as u64, 0)
    };
    if socket.is_null() { None } else { Some(socket) }
}

/// Whether a segment acknowledges a SYN cookie that the kernel sent for a listener. The IP header starts at
/// `offset` in the frame, and has no options. A separate function for each address family, to save stack.
#[inline(never)]
pub fn is_kernels_cookie_v4(context: *mut xdp_md, offset: u64) -> u64 {
    is_kernels_cookie::<Ipv4>(context, offset).into()
}

/// The same for IPv6.
#[inline(never)]
pub fn is_kernels_cookie_v6(context: *mut xdp_md, offset: u64) -> u64 {
    is_kernels_cookie::<Ipv6>(context, offset).into()
}

#[inline(always)]
fn is_kernels_cookie<A: Tuple + Plain + Challenged>(context: *mut xdp_md, offset: u64) -> bool {
    // After the Ethernet header and at most two VLAN tags.
    let offset = match offset {
        14 => 14,
        18 => 18,
        _ => 22,
    };
    let packet = packet(context).skip(offset - IP);
    let (Some(source), Some(destination)) = (A::sender(packet), A::destination(packet)) else { return false };
    let Some([source_port, port]) =
        packet.read::<[u16; 2]>(A::TRANSPORT).map(|ports| ports.map(u16::from_be))
    else {
        return false;
    };
    let probe = Probe { protocol: Protocol::Tcp, kind: Kind::Ack, source_port, port, flags: 0 };
    let mut tuple = A::tuple(&Flow { source, destination, probe }, source_port);
    // SAFETY: as above.
    let socket = unsafe {
        bpf_skc_lookup_tcp(
            context.cast(),
            (&raw mut tuple).cast(),
            A::SIZE,
            BPF_F_CURRENT_NETNS as i64 as u64,
            0,
        )
    };
    if socket.is_null() {
        return false;
    }
    let packet = self::packet(context);
    let headers = (packet.at(offset, A::HEADER), packet.at(offset + A::HEADER, TCP_HEADER));
    let is_right = match headers {
        (Some(ip), Some(tcp)) => {
            // SAFETY: the look-up returned a referenced socket. The headers lie inside the packet, and have the
            // given lengths.
            let found = unsafe {
                bpf_tcp_check_syncookie(socket.cast(), ip, A::HEADER as u32, tcp.cast(), TCP_HEADER as u32)
            };
            found == 0
        }
        _ => false,
    };
    release(socket);
    is_right
}

#[inline(always)]
fn packet(context: *mut xdp_md) -> Packet {
    // SAFETY: fields of the context that the kernel handed to the program.
    let [start, end] = unsafe {
        [&raw const (*context).data, &raw const (*context).data_end]
            .map(|bound| bound.read_volatile() as usize)
    };
    Packet::between(start, end)
}

#[inline(always)]
fn release(socket: *mut bpf_sock) {
    // SAFETY: the socket came from a look-up, was checked for null, and is released once.
    unsafe { bpf_sk_release(socket.cast()) };
}
