//! The program that makes the kernel open connections for acknowledgements of PortSentry's answers (traffic
//! control, ingress; Linux 6.9). It judges no packet: it uses the entries that the XDP program made in `OPENED` a
//! moment ago.

use core::mem::transmute;

use aya_ebpf::{
    EbpfContext,
    bindings::{__sk_buff, BPF_F_CURRENT_NETNS, tcp_sock},
    helpers::generated::{bpf_sk_release, bpf_skc_lookup_tcp, bpf_skc_to_tcp_sock},
    macros::classifier,
    programs::TcContext,
};
use portsentry_common::{
    address::{Ipv4, Ipv6},
    classify::{Kind, Probe, Protocol},
    flow::Flow,
    frame::Bytes,
    gate::Held,
    parse::{IP, Plain, TcpFlags},
    state::{IS_OPEN, SteerKey, TO_ACCEPT},
};

use crate::{
    clock::now_ns,
    egress::{GO_ON, IPV4, IPV6},
    flows,
    frame::Packet,
    kernel::Family,
    maps,
    sockets::LISTEN,
};

/// Offset of a packet's `EtherType`.
const ETHERTYPE: usize = 12;
/// Placeholder for the number of the kernel function `bpf_sk_assign_tcp_reqsk`, which differs between kernels. The
/// daemon replaces it when it loads the program.
const ASSIGN: usize = 0x7053_7473;
/// The largest segment that any client accepts: IPv6's minimum MTU, minus its header and TCP's.
const SEGMENT: u16 = 1220;

/// `struct bpf_tcp_req_attrs` (`include/net/tcp.h` in the kernel).
#[repr(C)]
struct Attributes {
    timestamps: [u32; 2],
    segment: u16,
    window_scales: [u8; 2],
    ecn: u8,
    has_window_scale: u8,
    has_selective_acknowledgements: u8,
    has_timestamps: u8,
    has_microseconds: u8,
    reserved: [u8; 3],
}

const SIZE: u32 = 20;
const _: () = assert!(size_of::<Attributes>() == SIZE as usize);

/// Runs for every incoming packet, after XDP and before the packet filter.
#[classifier]
pub fn portsentry_accept(context: TcContext) -> i32 {
    let skb: *mut __sk_buff = context.as_ptr().cast();
    let (start, end) = (context.data(), context.data_end());
    // SAFETY: a field of the context that the kernel handed to the program.
    match unsafe { (&raw const (*skb).protocol).read_volatile() } as u16 {
        IPV4 => take_from::<Ipv4>(skb, start, end, IPV4),
        IPV6 => take_from::<Ipv6>(skb, start, end, IPV6),
        _ => None,
    };
    GO_ON
}

/// Processes a packet of this address family. The packet begins with the Ethernet header. If generic XDP had to
/// copy it, it begins with the IP header, because Linux then forgets the Ethernet header's length
/// (`skb_pp_cow_data`).
#[inline(always)]
fn take_from<A: Plain + Family>(skb: *mut __sk_buff, start: usize, end: usize, ethertype: u16) -> Option<()> {
    // Reads a whole word: for a single octet the compiler would compare halves of pointers.
    let is_here = |at: usize| {
        let octets = Packet::between(start, end).read::<u32>(at).map(u32::to_ne_bytes);
        octets.is_some_and(|octets| octets[0] >> 4 == A::VERSION)
    };
    if Packet::between(start, end).read(ETHERTYPE) == Some(ethertype) && is_here(ETHERTYPE + IP) {
        take::<A>(skb, Packet::between(start, end).skip(ETHERTYPE))
    } else if is_here(0) {
        take::<A>(skb, Packet::between(start - IP, end))
    } else {
        None
    }
}

#[inline(always)]
fn take<A: Plain + Family>(skb: *mut __sk_buff, packet: Packet) -> Option<()> {
    const MASK: u8 = TcpFlags::SYN | TcpFlags::RST | TcpFlags::ACK;
    // Nearly every packet's source is free, and no blocked or fenced source is near it.
    let is_near = A::gate().near(A::bit_of(A::prefix(packet)?)).is_in(Held::Fenced);
    if !is_near || !A::is_in_place(packet) || !A::is_tcp(A::carrier(packet)?) {
        return None;
    }
    if A::tcp(packet)?.flags().0 & MASK != TcpFlags::ACK {
        return None;
    }
    let [source_port, port] = packet.read::<[u16; 2]>(A::TRANSPORT)?.map(u16::from_be);
    let destination = A::destination(packet)?;
    let source = A::sender(packet)?;
    let key = SteerKey::new(source.to_mapped(), source_port, port, Protocol::Tcp as u8);
    let value = maps::OPENED.get_ptr_mut(key)?;
    // SAFETY: an aligned word of a map's value, which stays readable while the program runs.
    if unsafe { value.read_volatile() } != TO_ACCEPT {
        return None;
    }
    // SAFETY: as above.
    unsafe { value.write_volatile(IS_OPEN) };
    let probe = Probe { protocol: Protocol::Tcp, kind: Kind::Ack, source_port, port, flags: TcpFlags::ACK };
    if !assign::<A>(skb, &Flow { source, destination, probe }) {
        // The service receives later SYNs itself.
        let [high, low] = destination.to_mapped().halves();
        flows::forward_syns(high, low, port.into(), Protocol::Tcp as u64, now_ns());
    }
    Some(())
}

/// Makes the kernel open a connection for the segment at its listener. Returns whether a connection exists, new or
/// old. The kernel refuses for Multipath TCP.
#[inline(always)]
fn assign<A: Family>(skb: *mut __sk_buff, flow: &Flow<A>) -> bool {
    let mut is_made = true;
    let mut tuple = A::tuple(flow, flow.probe.source_port);
    // SAFETY: the context comes from the kernel. The tuple is initialised, and has the size of its address family.
    let socket = unsafe {
        bpf_skc_lookup_tcp(skb.cast(), (&raw mut tuple).cast(), A::SIZE, BPF_F_CURRENT_NETNS as i64 as u64, 0)
    };
    if socket.is_null() {
        return true;
    }
    // SAFETY: the look-up returned a referenced socket.
    if unsafe { (*socket).state } == LISTEN {
        // SAFETY: as above.
        let listener = unsafe { bpf_skc_to_tcp_sock(socket.cast()) };
        if !listener.is_null() {
            let mut attributes = Attributes {
                timestamps: [0; 2],
                segment: SEGMENT,
                window_scales: [0; 2],
                ecn: 0,
                has_window_scale: 0,
                has_selective_acknowledgements: 0,
                has_timestamps: 0,
                has_microseconds: 0,
                reserved: [0; 3],
            };
            // SAFETY: the daemon replaces the placeholder with the kernel's function, which has these parameters
            // (`net/core/filter.c`).
            let assign: extern "C" fn(*mut __sk_buff, *mut tcp_sock, *mut Attributes, u32) -> i32 =
                unsafe { transmute(ASSIGN) };
            is_made = assign(skb, listener, &raw mut attributes, SIZE) == 0;
        }
    }
    // SAFETY: the socket was checked for null, and is released once.
    unsafe { bpf_sk_release(socket.cast()) };
    is_made
}
