//! The programs for outgoing packets (traffic control, egress), on interfaces with and without an Ethernet header.
//! They don't change packets. They drop only answers to fenced sources: see [`crate::learning`].

use core::{cell::UnsafeCell, hint::cold_path};

use aya_ebpf::{
    EbpfContext,
    bindings::__sk_buff,
    helpers::generated::{bpf_jiffies64, bpf_skb_pull_data},
    macros::classifier,
    programs::TcContext,
};
use portsentry_common::{
    address::{Ipv4, Ipv6},
    classify::Protocol,
    environment::Locality,
    frame::Bytes,
    parse::{TCP, TcpFlags, UDP},
    session::Sent,
};

use crate::{
    clock::now_ns,
    flows,
    frame::{Packet, linear},
    gate::GATE_V6,
    kernel::Family,
    learning,
    settings::settings,
};

/// Return value that passes a packet to the next attached program (`TCX_NEXT`, and `TC_ACT_UNSPEC` before it).
pub const GO_ON: i32 = -1;

/// Return value that drops a packet (`TC_ACT_SHOT`).
const SHOT: i32 = 2;

/// Protocol numbers of ICMP for IPv4 and IPv6.
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

const ETHERNET: usize = 14;
const TAG: usize = 4;
/// Number of bytes read from a packet: Ethernet, a tag, IPv6, TCP up to its control bits.
const READ: usize = ETHERNET + TAG + 40 + 14;

pub const IPV4: u16 = 0x0800_u16.to_be();
pub const IPV6: u16 = 0x86dd_u16.to_be();
const CUSTOMER_TAG: u16 = 0x8100_u16.to_be();

/// Flows learnt in this moment, so that their later packets cost only one load. Each entry is a hash of the flow,
/// keyed with the moment's number. The later of two flows with the same slot overwrites the other.
static LEARNT: Learnt = Learnt(UnsafeCell::new([0; PLACES]));
const PLACES: usize = 1 << PLACE_BITS;
const PLACE_BITS: u32 = 12;

struct Learnt(UnsafeCell<[u64; PLACES]>);

// SAFETY: the words are aligned, and read and written whole.
unsafe impl Sync for Learnt {}

/// Runs for packets that leave through an interface with an Ethernet header.
#[classifier]
pub fn portsentry_egress(context: TcContext) -> i32 {
    see::<false>(context.as_ptr().cast())
}

/// Runs for packets that begin with their IP header.
#[classifier]
pub fn portsentry_egress_bare(context: TcContext) -> i32 {
    see::<true>(context.as_ptr().cast())
}

#[inline(always)]
fn see<const BARE: bool>(context: *mut __sk_buff) -> i32 {
    // SAFETY: fields of the context that the kernel handed to the program.
    let (length, ingress) = unsafe {
        ((&raw const (*context).len).read_volatile(), (&raw const (*context).ingress_ifindex).read_volatile())
    };
    let is_forwarded = ingress != 0;
    let mut packet = linear(context);
    // In a packet socket's frame, only the link layer may be directly readable.
    if !packet.reaches(READ) && (packet.length() as u32) < length {
        cold_path();
        let wanted = if length < READ as u32 { length } else { READ as u32 };
        // SAFETY: the context comes from the kernel. The bounds are read again below.
        if unsafe { bpf_skb_pull_data(context, wanted) } != 0 {
            return GO_ON;
        }
        packet = linear(context);
    }
    let (ethertype, offset, packet) = if BARE {
        // SAFETY: as above.
        (unsafe { (&raw const (*context).protocol).read_volatile() } as u16, 0, packet)
    } else {
        match packet.read::<u16>(ETHERNET - 2) {
            Some(CUSTOMER_TAG) => match packet.read(ETHERNET + TAG - 2) {
                Some(ethertype) => (ethertype, ETHERNET + TAG, packet.skip(ETHERNET + TAG)),
                None => return GO_ON,
            },
            Some(ethertype) => (ethertype, ETHERNET, packet.skip(ETHERNET)),
            None => return GO_ON,
        }
    };
    match ethertype {
        IPV4 => see_ipv4(context, offset, packet, is_forwarded),
        IPV6 => see_ipv6(context, offset, packet, is_forwarded),
        _ => GO_ON,
    }
}

/// The treatment of a packet.
enum Seen {
    /// It leaves.
    Leaves,
    /// It is a datagram. It leaves, and its flow is recorded.
    Datagram,
    /// It is a segment with these control bits, neither SYN nor RST. It leaves, and its flow is recorded.
    Segment(u8),
    /// It is a SYN or SYN-ACK with these control bits. It leaves, and its flow is recorded.
    Syn(u8),
    /// It doesn't leave.
    Withheld,
}

/// Judges a packet by its transport protocol and, for TCP, its control bits. `learn` learns from an answer.
#[inline(always)]
fn seen(
    protocol: u8,
    icmp: u8,
    is_forwarded: bool,
    flags: impl FnOnce() -> Option<u8>,
    learn: impl FnOnce() -> u32,
) -> Seen {
    const MAY_ANSWER: u8 = TcpFlags::SYN | TcpFlags::RST;
    if protocol == UDP {
        return Seen::Datagram;
    }
    if !is_forwarded {
        // Sockets show this host's own connections, to which nearly every packet belongs.
        return Seen::Leaves;
    }
    if protocol == TCP {
        let Some(flags) = flags() else { return Seen::Leaves };
        if flags & MAY_ANSWER == 0 {
            return Seen::Segment(flags);
        }
        cold_path();
        let found = if settings().learns() && flags & TcpFlags::ACK != 0 { learn() } else { 0 };
        return if found == learning::WITHHELD {
            Seen::Withheld
        } else if found == learning::OF_OTHERS || flags & TcpFlags::RST != 0 {
            Seen::Leaves
        } else {
            Seen::Syn(flags)
        };
    }
    if protocol == icmp && settings().learns() {
        cold_path();
        if learn() == learning::WITHHELD {
            return Seen::Withheld;
        }
    }
    Seen::Leaves
}

/// Odd factors of a flow's hash, one for each kind of packet.
const OF_DATAGRAM: u64 = 0x9e37_79b9_7f4a_7c15;
const OF_SEGMENT: u64 = 0xc2b2_ae3d_27d4_eb4f;
const OF_SYN: u64 = 0xff51_afd7_ed55_8ccd;

/// Processes a packet whose IP header starts at `offset`. Ignores packets with IP options, and later fragments.
#[inline(always)]
fn see_ipv4(context: *mut __sk_buff, offset: usize, packet: Packet, is_forwarded: bool) -> i32 {
    /// Version 4, and a header of five words.
    const PLAIN: u32 = 0x45;
    /// The bits of the fragment's offset in the second word.
    const OFFSET: u32 = 0x1fff_u32.to_be();
    let Some([first, second, third, local, remote, ports]) = packet.read::<[u32; 6]>(0) else { return GO_ON };
    if first & 0xff != PLAIN || second & OFFSET != 0 {
        return GO_ON;
    }
    let flags = || packet.read::<u8>(20 + 13);
    let flow = Flow { local: Ipv4::from_word(local), remote: Ipv4::from_word(remote), ports, is_forwarded };
    let learn = || learning::learn_ipv4(context, offset as u64);
    flow.finish(&seen((third >> 8) as u8, ICMP, is_forwarded, flags, learn))
}

#[inline(always)]
fn see_ipv6(context: *mut __sk_buff, offset: usize, packet: Packet, is_forwarded: bool) -> i32 {
    let Some([first, local_high, local_low, high, low]) = packet.read::<[u64; 5]>(0) else { return GO_ON };
    let Some(ports) = packet.read::<u32>(40) else { return GO_ON };
    let flags = || packet.read::<u8>(40 + 13);
    let [local, remote] = [[local_high, local_low], [high, low]].map(Ipv6::from_halves);
    let flow = Flow { local, remote, ports, is_forwarded };
    let learn = || learning::learn_ipv6(context, offset as u64);
    flow.finish(&seen((first >> 48) as u8, ICMPV6, is_forwarded, flags, learn))
}

/// A packet's ends, its ports as in the packet, and whether it is forwarded.
#[derive(Clone, Copy)]
struct Flow<A> {
    local: A,
    remote: A,
    ports: u32,
    is_forwarded: bool,
}

impl<A: Family> Flow<A> {
    /// Treats a packet of the flow as it was judged. Returns the program's result.
    #[inline(always)]
    fn finish(&self, seen: &Seen) -> i32 {
        match *seen {
            Seen::Withheld => return SHOT,
            Seen::Leaves => {}
            Seen::Datagram => self.note::<OF_DATAGRAM>(Protocol::Udp, 0),
            Seen::Segment(flags) => self.note::<OF_SEGMENT>(Protocol::Tcp, flags),
            Seen::Syn(flags) => self.note::<OF_SYN>(Protocol::Tcp, flags),
        }
        GO_ON
    }

    /// Returns a hash of the flow, combined with the secret number of this moment. Different flows over IPv4 with the
    /// same factor have different hashes.
    #[inline(always)]
    fn hash<const FACTOR: u64>(&self) -> u64 {
        let moment = moment();
        let ports = u64::from(self.ports);
        let [high, low] = self.remote.to_mapped().halves();
        if A::VERSION == 4 {
            // The IPv4 address is the upper half of `low`.
            return ((low >> 32 << 32 | ports) ^ moment).wrapping_mul(FACTOR);
        }
        // Odd factors lose no other bit of either half.
        let address = ((high ^ moment) | 1).wrapping_mul((low ^ moment.swap_bytes()) | 1);
        address.wrapping_add(ports.wrapping_mul(FACTOR))
    }

    /// Learns from a packet of the flow, unless another one of the same kind was learnt from in this moment.
    #[inline(always)]
    fn note<const FACTOR: u64>(&self, protocol: Protocol, flags: u8) {
        if !is_new(self.hash::<FACTOR>()) {
            return;
        }
        let Self { local, remote, ports, is_forwarded } = *self;
        let [port, remote_port] = [ports as u16, (ports >> 16) as u16].map(u16::from_be);
        let [high, low] = remote.to_mapped().halves();
        let [local_high, local_low] = local.to_mapped().halves();
        let number = (protocol as u64) << 32;
        // A segment without ACK belongs to no connection.
        let continues = FACTOR == OF_DATAGRAM || FACTOR == OF_SEGMENT && flags & TcpFlags::ACK != 0;
        if is_forwarded && continues && settings().learns() {
            let ports = u64::from(remote_port) | u64::from(port) << 16 | number;
            match A::VERSION {
                4 => learning::learn_flow_v4(high, low, local_high, local_low, ports),
                _ => learning::learn_flow_v6(high, low, local_high, local_low, ports),
            };
        }
        let ports = u64::from(port) | u64::from(remote_port) << 16 | number;
        let is_forwarded = u64::from(is_forwarded) << 48;
        let is_v4 = u64::from(A::VERSION == 4) << 49;
        learn(high, low, local_high, local_low, ports | is_forwarded | is_v4 | u64::from(flags) << 56);
    }
}

/// Returns the secret number of this moment, with which hashes of flows are combined.
#[inline(always)]
fn moment() -> u64 {
    // SAFETY: the helper has no preconditions.
    GATE_V6.follow_secretly(unsafe { bpf_jiffies64() })
}

/// Enters the hash of a flow. Returns whether it wasn't the last one in its slot.
#[inline(always)]
fn is_new(hash: u64) -> bool {
    let place = (hash >> (u64::BITS - PLACE_BITS)) as usize;
    // SAFETY: the table has a slot for each number of that many bits.
    let at = unsafe { LEARNT.0.get().cast::<u64>().add(place) };
    // SAFETY: a word of the table.
    if unsafe { at.read_volatile() } == hash {
        return false;
    }
    cold_path();
    // SAFETY: as above.
    unsafe { at.write_volatile(hash) };
    true
}

/// Learns from a packet. A separate function, so that the usual path doesn't have to save registers.
#[inline(never)]
fn learn(high: u64, low: u64, local_high: u64, local_low: u64, what: u64) -> u64 {
    let protocol = if (what >> 32) as u8 == UDP { Protocol::Udp } else { Protocol::Tcp };
    let is_forwarded = what >> 48 & 1 != 0;
    let sent = Sent {
        remote: [high, low],
        remote_port: (what >> 16) as u16,
        port: what as u16,
        protocol,
        flags: TcpFlags((what >> 56) as u8),
        is_forwarded,
    };
    // The host sends its own packets only from its own addresses.
    if is_forwarded && !is_own(local_high, local_low, what >> 49 & 1 != 0) {
        return 0;
    }
    flows::learn(&sent, [local_high, local_low], now_ns());
    1
}

#[inline(always)]
fn is_own(high: u64, low: u64, is_v4: bool) -> bool {
    let address = Ipv6::from_halves([high, low]);
    let local = if is_v4 {
        let [_, _, _, last] = address.words();
        Ipv4::from_word(last).local()
    } else {
        address.local()
    };
    Locality::from(local) == Locality::Own
}
