//! The program for interfaces whose frames begin with their IP header: tun, `WireGuard`, PPP.
//!
//! It has no fast path. The kernel runs it only in generic mode, where a packet costs far more than the program
//! does.

use core::ptr::null_mut;

use aya_ebpf::{EbpfContext, bindings::xdp_md, macros::xdp, programs::XdpContext};
use portsentry_common::address::{Ipv4, Ipv6};

use crate::{
    FENCED_IPV4, FENCED_IPV6, FREE_IPV4, FREE_IPV6, PROVES, SYN, UNSETTLED, classify_source_as,
    contact::{Steps, contacts},
    fenced, free, further,
    open::opened,
    proves,
    scan::{convicted, first, noted},
    settled,
};

/// Judges every frame that an interface without a link-layer header receives.
#[xdp(frags)]
pub fn portsentry_bare(context: XdpContext) -> u32 {
    let context = context.as_ptr().cast();
    match classify_source_bare(context) {
        FREE_IPV4 => {
            let steps = Steps {
                contact: contact_ipv4_bare,
                free: free_ipv4_bare,
                first: first_contact_ipv4_bare,
                note: note_contact_ipv4_bare,
                convict: convict_ipv4_bare,
            };
            steps.take(context)
        }
        FREE_IPV6 => {
            let steps = Steps {
                contact: contact_ipv6_bare,
                free: free_ipv6_bare,
                first: first_contact_ipv6_bare,
                note: note_contact_ipv6_bare,
                convict: convict_ipv6_bare,
            };
            steps.take(context)
        }
        FENCED_IPV4 => match fenced_ipv4_bare(context) {
            SYN => settled(open_ipv4_bare(context)),
            UNSETTLED => match further_ipv4_bare(context) {
                PROVES => prove_ipv4_bare(context),
                action => action,
            },
            action => action,
        },
        FENCED_IPV6 => match fenced_ipv6_bare(context) {
            SYN => settled(open_ipv6_bare(context)),
            UNSETTLED => match further_ipv6_bare(context) {
                PROVES => prove_ipv6_bare(context),
                action => action,
            },
            action => action,
        },
        action => action,
    }
}

/// Judges an IPv4 SYN from a fenced source to an own address, if the fence is open.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn open_ipv4_bare(context: *mut xdp_md) -> u32 {
    opened::<Ipv4, true>(context, null_mut())
}

/// The same for IPv6.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn open_ipv6_bare(context: *mut xdp_md) -> u32 {
    opened::<Ipv6, true>(context, null_mut())
}

/// Returns the state of a frame's source.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn classify_source_bare(context: *mut xdp_md) -> u32 {
    classify_source_as::<true>(context)
}

/// Judges the source of an IPv4 packet by its questions to other hosts.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn contact_ipv4_bare(context: *mut xdp_md) -> u32 {
    contacts::<Ipv4, true>(context)
}

/// The same for IPv6.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn contact_ipv6_bare(context: *mut xdp_md) -> u32 {
    contacts::<Ipv6, true>(context)
}

/// Returns the contact of an IPv4 SYN.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn first_contact_ipv4_bare(context: *mut xdp_md) -> u64 {
    first::<Ipv4, true>(context)
}

/// Notes the contact of an IPv4 SYN.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn note_contact_ipv4_bare(context: *mut xdp_md, contact: u64) -> u64 {
    noted::<Ipv4, true>(context, contact)
}

/// Reports or fences the source of an IPv4 SYN.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn convict_ipv4_bare(context: *mut xdp_md, judged: u64) -> u32 {
    convicted::<Ipv4, true>(context, judged)
}

/// The same for IPv6.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn first_contact_ipv6_bare(context: *mut xdp_md) -> u64 {
    first::<Ipv6, true>(context)
}

/// The same for IPv6.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn note_contact_ipv6_bare(context: *mut xdp_md, contact: u64) -> u64 {
    noted::<Ipv6, true>(context, contact)
}

/// The same for IPv6.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn convict_ipv6_bare(context: *mut xdp_md, judged: u64) -> u32 {
    convicted::<Ipv6, true>(context, judged)
}

/// Judges an IPv4 packet whose source is free.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn free_ipv4_bare(context: *mut xdp_md) -> u32 {
    free::<Ipv4, true>(context)
}

/// The same for IPv6.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn free_ipv6_bare(context: *mut xdp_md) -> u32 {
    free::<Ipv6, true>(context)
}

/// Judges an IPv4 packet whose source is fenced.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn fenced_ipv4_bare(context: *mut xdp_md) -> u32 {
    fenced::<Ipv4, true>(context)
}

/// The same for IPv6.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn fenced_ipv6_bare(context: *mut xdp_md) -> u32 {
    fenced::<Ipv6, true>(context)
}

/// Judges a fenced source's IPv4 packet by its port, after [`fenced_ipv4_bare`].
#[unsafe(no_mangle)]
#[inline(never)]
pub fn further_ipv4_bare(context: *mut xdp_md) -> u32 {
    further::<Ipv4, true>(context)
}

/// The same for IPv6.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn further_ipv6_bare(context: *mut xdp_md) -> u32 {
    further::<Ipv6, true>(context)
}

/// Judges an IPv4 packet that proves its source.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn prove_ipv4_bare(context: *mut xdp_md) -> u32 {
    proves::<Ipv4, true>(context)
}

/// The same for IPv6.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn prove_ipv6_bare(context: *mut xdp_md) -> u32 {
    proves::<Ipv6, true>(context)
}
