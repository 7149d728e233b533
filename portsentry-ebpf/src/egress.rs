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
        IPV4 => {
            let is_answer = is_forwarded
                && packet.read(9).is_some_and(|protocol| may_be_answer(packet, 20, protocol, ICMP));
            let learn = || learning::learn_ipv4(context, offset as u64);
            let Some(packet) = leaving(context, (offset, packet), is_answer, learn) else { return SHOT };
            see_ipv4(packet, is_forwarded);
        }
        IPV6 => {
            let is_answer = is_forwarded
                && packet.read(6).is_some_and(|protocol| may_be_answer(packet, 40, protocol, ICMPV6));
            let learn = || learning::learn_ipv6(context, offset as u64);
            let Some(packet) = leaving(context, (offset, packet), is_answer, learn) else { return SHOT };
            see_ipv6(packet, is_forwarded);
        }
        _ => {}
    }
    GO_ON
}

/// Learns from a packet that may be an answer. Returns the packet at `offset`, whose bounds that invalidates, or `None`
/// if it must not leave.
#[inline(always)]
fn leaving(
    context: *mut __sk_buff,
    (offset, packet): (usize, Packet),
    is_answer: bool,
    learn: impl FnOnce() -> u32,
) -> Option<Packet> {
    if !is_answer {
        return Some(packet);
    }
    cold_path();
    (learn() == 0).then(|| linear(context).skip(offset))
}

/// Whether the packet with the given transport header may be an answer other than a datagram.
#[inline(always)]
fn may_be_answer(packet: Packet, transport: usize, protocol: u8, icmp: u8) -> bool {
    const ANSWERS: u8 = TcpFlags::SYN | TcpFlags::RST;
    settings().learns()
        && if protocol == TCP {
            packet
                .read::<u8>(transport + 13)
                .is_some_and(|flags| flags & ANSWERS != 0 && flags & TcpFlags::ACK != 0)
        } else {
            protocol == icmp
        }
}

/// Processes a packet from its IP header on. Ignores packets with IP options, and later fragments.
#[inline(always)]
fn see_ipv4(packet: Packet, is_forwarded: bool) {
    let Some([first, fragment, third]) = packet.read::<[u32; 3]>(0).map(|words| words.map(u32::from_be))
    else {
        return;
    };
    if first >> 24 != 0x45 || fragment & 0x1fff != 0 {
        return;
    }
    if let Some(sent) = sent(packet, 20, (third >> 16) as u8, is_forwarded)
        && let Some([local, remote]) = packet.read::<[u32; 2]>(12)
    {
        note(Ipv4::from_word(local), Ipv4::from_word(remote), sent);
    }
}

#[inline(always)]
fn see_ipv6(packet: Packet, is_forwarded: bool) {
    let Some(protocol) = packet.read::<u8>(6) else { return };
    if let Some(sent) = sent(packet, 40, protocol, is_forwarded)
        && let Some([a, b, c, d]) = packet.read::<[u64; 4]>(8)
    {
        note(Ipv6::from_halves([a, b]), Ipv6::from_halves([c, d]), sent);
    }
}

/// Returns the packet with the given transport header, if the daemon's rules can learn from it.
#[inline(always)]
fn sent(packet: Packet, transport: usize, protocol: u8, is_forwarded: bool) -> Option<Sent> {
    let (protocol, flags) = match protocol {
        UDP => (Protocol::Udp, 0),
        // This applies to nearly every packet.
        TCP if !is_forwarded => return None,
        TCP => (Protocol::Tcp, packet.read::<u8>(transport + 13)?),
        _ => return None,
    };
    let [port, remote_port] = packet.read::<[u16; 2]>(transport)?.map(u16::from_be);
    let sent = Sent { remote: [0; 2], remote_port, port, protocol, flags: TcpFlags(flags), is_forwarded };
    sent.is_of_interest().then_some(sent)
}

/// Learns from the packet, unless another packet of its flow was learnt from in this moment.
#[inline(always)]
fn note<A: Family>(local: A, remote: A, sent: Sent) {
    // SAFETY: the helper has no preconditions.
    let jiffies = unsafe { bpf_jiffies64() };
    let moment = GATE_V6.follow_secretly(jiffies);
    let [high, low] = remote.to_mapped().halves();
    let is_syn_ack = sent.flags.0 & TcpFlags::SYN != 0;
    let rest = u64::from(sent.port)
        | u64::from(sent.remote_port) << 16
        | (sent.protocol as u64) << 32
        | u64::from(is_syn_ack) << 40;
    let mut hash = (high ^ moment).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ low ^ hash >> 32).wrapping_mul(moment | 1);
    hash = (hash ^ rest ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let place = (hash >> (u64::BITS - PLACE_BITS)) as usize;
    // SAFETY: the table has a slot for each number of that many bits.
    let at = unsafe { LEARNT.0.get().cast::<u64>().add(place) };
    // SAFETY: a word of the table.
    if unsafe { at.read_volatile() } == hash {
        return;
    }
    cold_path();
    // SAFETY: as above.
    unsafe { at.write_volatile(hash) };
    let [local_high, local_low] = local.to_mapped().halves();
    if sent.is_forwarded && sent.protocol == Protocol::Udp && settings().learns() {
        let ports = u64::from(sent.remote_port) | u64::from(sent.port) << 16 | (sent.protocol as u64) << 32;
        match A::VERSION {
            4 => learning::learn_reply_v4(high, low, local_high, local_low, ports),
            _ => learning::learn_reply_v6(high, low, local_high, local_low, ports),
        };
    }
    let is_forwarded = u64::from(sent.is_forwarded) << 48 | u64::from(sent.flags.0) << 56;
    let is_v4 = u64::from(A::VERSION == 4) << 49;
    learn(high, low, local_high, local_low, rest | is_forwarded | is_v4);
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
