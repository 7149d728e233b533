//! The bind hooks: they stamp the table of bound ports when a socket is bound, before its port receives a packet
//! (cgroup v2, Linux 4.17). They never refuse a bind.

use aya_ebpf::{
    EbpfContext,
    bindings::{BPF_ANY, bpf_sock_addr},
    helpers::generated::{bpf_get_netns_cookie, bpf_jiffies64},
    macros::cgroup_sock_addr,
    programs::SockAddrContext,
};
use portsentry_common::{
    address::{Address, Ipv4},
    bound::{
        AHEAD, Below, EVERY_IPV4, EVERY_IPV6, NEEDS_SYN, OWN_MARK, Reach, ServedKey, reach, slot, stamp,
    },
    classify::Protocol,
};

use crate::{maps, served::note_needs_syn, settings::settings};

/// Return value of a bind hook that allows the bind.
const ALLOW: i32 = 1;
/// `SOCK_STREAM` and `SOCK_DGRAM`, and the protocol number of Multipath TCP, whose sockets also accept TCP.
const STREAM: u32 = 1;
const DATAGRAM: u32 = 2;
const MPTCP: u32 = 262;

/// Runs at each bind to an IPv4 address.
#[cgroup_sock_addr(bind4)]
pub fn portsentry_bind4(context: SockAddrContext) -> i32 {
    // SAFETY: a field of the context that the kernel handed to the program.
    let address = unsafe { (&raw const (*context.sock_addr).user_ip4).read_volatile() };
    see(&context, Ipv4::from_word(address).to_mapped().halves());
    ALLOW
}

/// Runs at each bind to an IPv6 address.
#[cgroup_sock_addr(bind6)]
pub fn portsentry_bind6(context: SockAddrContext) -> i32 {
    // SAFETY: as above.
    let words: [u32; 4] = unsafe {
        let words = (&raw const (*context.sock_addr).user_ip6).cast::<u32>();
        [
            words.read_volatile(),
            words.add(1).read_volatile(),
            words.add(2).read_volatile(),
            words.add(3).read_volatile(),
        ]
    };
    see(&context, bytemuck::cast(words));
    ALLOW
}

/// A bind to one address, or to every address of a family.
#[derive(Clone, Copy)]
struct Bind {
    device: u32,
    port: u16,
    protocol: Protocol,
    /// Whether the port still counts as served after the socket is closed.
    counts_later: bool,
    now: u32,
}

#[inline(always)]
fn see(context: &SockAddrContext, address: [u64; 2]) {
    let bound: *mut bpf_sock_addr = context.sock_addr;
    // SAFETY: fields of the context, and of its socket, which lives as long as the call.
    let (port, kind, protocol, device, mark) = unsafe {
        let socket = (&raw const (*bound).__bindgen_anon_1.sk).read_volatile();
        (
            u16::from_be((&raw const (*bound).user_port).read_volatile() as u16),
            (&raw const (*bound).type_).read_volatile(),
            (&raw const (*bound).protocol).read_volatile(),
            (&raw const (*socket).bound_dev_if).read_volatile(),
            (&raw const (*socket).mark).read_volatile(),
        )
    };
    let needs_syn = protocol == MPTCP;
    let protocol = match (kind, protocol) {
        (STREAM, 6 | MPTCP) => Protocol::Tcp,
        (DATAGRAM, 17) => Protocol::Udp,
        _ => return,
    };
    let settings = settings();
    // SAFETY: the helper takes the program's context.
    if port == 0 || unsafe { bpf_get_netns_cookie(context.as_ptr()) } != settings.netns {
        return;
    }
    // SAFETY: the helper has no preconditions.
    let jiffies = unsafe { bpf_jiffies64() };
    let now = stamp(jiffies.wrapping_sub(settings.first_jiffy).wrapping_mul(settings.jiffy_ns));
    // Clients bind to random ephemeral ports.
    let counts_later = settings.keeps_served != 0 && mark != OWN_MARK && !settings.is_ephemeral(port);
    let bind = Bind { device, port, protocol, counts_later, now };
    if needs_syn {
        note_needs_syn(now);
        serve(address[0], address[1], NEEDS_SYN.into(), what(port, protocol), now.into());
        if address == EVERY_IPV6 {
            serve(EVERY_IPV4[0], EVERY_IPV4[1], NEEDS_SYN.into(), what(port, protocol), now.into());
        }
    }
    match reach(address) {
        Reach::Nowhere => {}
        Reach::EveryIpv4 => mark_port(bind, 4, EVERY_IPV4, true),
        // The hook can't see whether the socket also accepts IPv4.
        Reach::EveryIpv6 => {
            mark_port(bind, 6, EVERY_IPV6, true);
            mark_port(bind, 4, EVERY_IPV4, true);
        }
        Reach::One => {
            let is_v4 = address[0] == 0 && u64::from_be(address[1]) >> 32 == 0xffff;
            mark_port(bind, if is_v4 { 4 } else { 6 }, address, false);
        }
    }
}

#[inline(always)]
fn mark_port(bind: Bind, version: u8, address: [u64; 2], is_open: bool) {
    let Bind { device, port, protocol, counts_later, now } = bind;
    let Some(slot) = maps::BOUND.get_ptr_mut(slot(protocol, version, port) as u32) else { return };
    // SAFETY: an aligned word of a map's value, which every writer writes whole.
    unsafe { (&raw mut (*slot).bound).write_volatile(now) };
    if device == 0 {
        if counts_later && is_open {
            // SAFETY: as above.
            unsafe { (&raw mut (*slot).open).write_volatile(now) };
        } else if counts_later {
            serve(address[0], address[1], 0, what(port, protocol), now.into());
        }
        return;
    }
    let Some(below) = maps::DEVICES.get_ptr_mut(device) else { return };
    // SAFETY: a field of a map's value.
    let is_hidden = unsafe { (*below).flags } & Below::HIDDEN != 0;
    if !is_hidden && !counts_later {
        return;
    }
    let stamp = if is_hidden { now + AHEAD } else { now };
    // SAFETY: as above.
    for interface in unsafe { (*below).interfaces } {
        if interface == 0 {
            return;
        }
        serve(address[0], address[1], interface.into(), what(port, protocol), stamp.into());
    }
}

#[inline(always)]
const fn what(port: u16, protocol: Protocol) -> u64 {
    port as u64 | (protocol as u64) << 16
}

/// Enters a served address. A separate function, to save stack.
#[inline(never)]
fn serve(high: u64, low: u64, interface: u64, what: u64, stamp: u64) -> u64 {
    let key = ServedKey::new([high, low], interface as u32, what as u16, (what >> 16) as u8);
    // If the map can't take the entry, the next dump does.
    u64::from(maps::SERVED.insert(key, stamp as u32, u64::from(BPF_ANY)).is_ok())
}
