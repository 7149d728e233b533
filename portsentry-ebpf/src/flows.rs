//! The records of outgoing packets. Other modules decide what is recorded.

use aya_ebpf::bindings::BPF_ANY;
use portsentry_common::{
    address::Ipv6,
    bound::{NEEDS_SYN, ServedKey, stamp},
    environment::RateLimit,
    session::{Lesson, Sent},
    settings::Settings,
    state::{FlowKey, SteerKey},
};

use crate::{maps, served::note_needs_syn, settings::settings};

/// Returns the time when the host last sent to the remote address, given by its halves, or 0 for never. `ports`
/// holds the remote port, the host's port and the protocol, from the lowest bits on. A separate function, because
/// the key would take room on every caller's stack.
#[inline(never)]
pub fn last_sent_ns(high: u64, low: u64, ports: u64) -> u64 {
    let (remote_port, port, protocol) = (ports as u16, (ports >> 16) as u16, (ports >> 32) as u8);
    let sent = |remote_port| {
        let key = FlowKey::new([high, low], remote_port, port, protocol);
        maps::FLOWS.get_ptr_mut(key).map_or(0, |sent| {
            // SAFETY: an aligned word of a map's value, which stays readable while the program runs.
            unsafe { sent.read_volatile() }
        })
    };
    sent(remote_port).max(sent(0))
}

/// Records a connection from a fenced source, given by the halves of its address. `ports` holds an incoming
/// packet's source port, destination port and protocol. A separate function, to save stack.
#[inline(never)]
pub fn open(high: u64, low: u64, ports: u64, value: u32) -> u64 {
    // If the map is full, the segment is refused, or its source counts as a client.
    u64::from(maps::OPENED.insert(connection(high, low, ports), value, u64::from(BPF_ANY)).is_ok())
}

/// Whether the connection was recorded.
#[inline(never)]
pub fn was_opened(high: u64, low: u64, ports: u64) -> u64 {
    u64::from(maps::OPENED.get_ptr_mut(connection(high, low, ports)).is_some())
}

#[inline(always)]
fn connection(high: u64, low: u64, ports: u64) -> SteerKey {
    SteerKey::new(Ipv6::from_halves([high, low]), ports as u16, (ports >> 16) as u16, (ports >> 32) as u8)
}

/// Makes the XDP program forward fenced sources' SYNs to the service at this address and port.
#[inline(never)]
pub fn forward_syns(high: u64, low: u64, port: u64, protocol: u64, now_ns: u64) -> u64 {
    let key = ServedKey::new([high, low], NEEDS_SYN, port as u16, protocol as u8);
    let now = stamp(now_ns);
    note_needs_syn(now);
    // If the map is full, fenced sources can't connect to the service.
    u64::from(maps::SERVED.insert(key, now, u64::from(BPF_ANY)).is_ok())
}

/// Records an outgoing packet, sent now from the address with the halves `local`.
#[inline(always)]
pub fn learn(sent: &Sent, local: [u64; 2], now_ns: u64) {
    let settings = settings();
    let Lesson { flow, any_port, is_service } = sent.lesson(settings);
    touch(flow, settings, now_ns);
    if let Some(flow) = any_port {
        touch(flow, settings, now_ns);
    }
    if is_service && may_learn(settings, now_ns) {
        forward_syns(local[0], local[1], sent.port.into(), sent.protocol as u64, now_ns);
    }
}

/// Records that a packet of the flow leaves now. An update in place costs a tenth of an insertion.
#[inline(always)]
fn touch(flow: FlowKey, settings: &Settings, now_ns: u64) {
    if let Some(sent) = maps::FLOWS.get_ptr_mut(flow) {
        // SAFETY: an aligned word of a map's value.
        unsafe { sent.write_volatile(now_ns) };
    } else if may_learn(settings, now_ns) {
        let _ = maps::FLOWS.insert(flow, now_ns, u64::from(BPF_ANY));
    }
}

#[inline(always)]
fn may_learn(settings: &Settings, now_ns: u64) -> bool {
    maps::TOKEN_BUCKETS.get_ptr_mut(0).is_some_and(|buckets| {
        // SAFETY: the value belongs to this CPU, and programs on the same hook don't preempt each other. Only this
        // hook uses this rate limit.
        unsafe { (*buckets).try_acquire(RateLimit::Learn, settings, now_ns) }
    })
}
