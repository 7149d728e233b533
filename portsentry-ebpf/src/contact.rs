//! Packets of free sources, where the answers of other hosts teach.

use aya_ebpf::{bindings::xdp_md, programs::XdpContext};
use portsentry_common::{
    address::{Ipv4, Ipv6},
    challenge::Challenged,
    judge::contact,
    parse::Plain,
};

use crate::{
    UNSURE,
    frame::XdpFrame,
    free_ipv4, free_ipv6,
    kernel::{Family, Kernel},
    settings::settings,
};

/// Judges an IPv4 packet whose source is free: by the source's questions to other hosts, if answers teach, and by the
/// other rules.
#[inline(always)]
pub fn settle_free_ipv4(context: *mut xdp_md) -> u32 {
    if settings().learns() {
        let found = contact_ipv4(context);
        if found != UNSURE {
            return found;
        }
    }
    free_ipv4(context)
}

/// The same for IPv6.
#[inline(always)]
pub fn settle_free_ipv6(context: *mut xdp_md) -> u32 {
    if settings().learns() {
        let found = contact_ipv6(context);
        if found != UNSURE {
            return found;
        }
    }
    free_ipv6(context)
}

/// Judges an IPv4 SYN of a free source, if answers teach.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn ask_ipv4(context: *mut xdp_md) -> u32 {
    settle_free_ipv4(context)
}

/// The same for IPv6.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn ask_ipv6(context: *mut xdp_md) -> u32 {
    settle_free_ipv6(context)
}

/// Judges the source of a packet of this address family by its questions to other hosts.
#[inline(always)]
pub fn contacts<A: Plain + Challenged + Family, const BARE: bool>(context: *mut xdp_md) -> u32 {
    let context = XdpContext::new(context);
    contact::<A, _, _>(&XdpFrame::<BARE>::new(&context), &Kernel::new(&context))
        .map_or(UNSURE, |action| action as u32)
}

/// Judges the source of an IPv4 packet by its questions to other hosts.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn contact_ipv4(context: *mut xdp_md) -> u32 {
    contacts::<Ipv4, false>(context)
}

/// The same for IPv6.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn contact_ipv6(context: *mut xdp_md) -> u32 {
    contacts::<Ipv6, false>(context)
}
