//! Packets of free sources, where the answers of other hosts teach or scans are detected.

use aya_ebpf::{bindings::xdp_md, programs::XdpContext};
use portsentry_common::{
    address::{Ipv4, Ipv6},
    challenge::Challenged,
    judge::{Action, contact},
    parse::Plain,
};

use crate::{
    UNSURE,
    frame::XdpFrame,
    free_ipv4, free_ipv6,
    kernel::{Family, Kernel},
    scan::{
        convict_ipv4, convict_ipv6, first_contact_ipv4, first_contact_ipv6, note_contact_ipv4,
        note_contact_ipv6,
    },
    settings::settings,
};

/// Judges an IPv4 packet whose source is free: by the source's questions to other hosts, if answers teach, by the other
/// rules, and by its first contacts, if scans are detected. Each function is called after the previous one has returned.
#[inline(always)]
pub fn settle_free_ipv4(context: *mut xdp_md) -> u32 {
    let found = if settings().learns() { contact_ipv4(context) } else { UNSURE };
    let action = if found == UNSURE { free_ipv4(context) } else { found };
    if action != Action::Pass as u32 || !settings().detects_scans() {
        return action;
    }
    let contact = first_contact_ipv4(context);
    if contact == 0 {
        return action;
    }
    let judged = note_contact_ipv4(context, contact);
    if judged == 0 { action } else { convict_ipv4(context, judged) }
}

/// The same for IPv6.
#[inline(always)]
pub fn settle_free_ipv6(context: *mut xdp_md) -> u32 {
    let found = if settings().learns() { contact_ipv6(context) } else { UNSURE };
    let action = if found == UNSURE { free_ipv6(context) } else { found };
    if action != Action::Pass as u32 || !settings().detects_scans() {
        return action;
    }
    let contact = first_contact_ipv6(context);
    if contact == 0 {
        return action;
    }
    let judged = note_contact_ipv6(context, contact);
    if judged == 0 { action } else { convict_ipv6(context, judged) }
}

/// Judges an IPv4 SYN of a free source, if answers teach or scans are detected.
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
