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
        IS_CONTACT, IS_UNDECIDED, convict_ipv4, convict_ipv6, first_contact_ipv4, first_contact_ipv6,
        note_contact_ipv4, note_contact_ipv6, note_newcomer_ipv4, note_newcomer_ipv6,
    },
    settings::settings,
};

/// The steps of judging a packet whose source is free, for one address family and form of frame. A result of 0 ends them.
pub struct Steps {
    /// Judges the source by its questions to other hosts.
    pub contact: fn(*mut xdp_md) -> u32,
    /// Judges the packet by the other rules.
    pub free: fn(*mut xdp_md) -> u32,
    /// Returns the first contact that a SYN makes.
    pub first: fn(*mut xdp_md) -> u64,
    /// Notes it.
    pub note: fn(*mut xdp_md, u64) -> u64,
    /// Reports or fences the source.
    pub convict: fn(*mut xdp_md, u64) -> u32,
}

impl Steps {
    /// Judges a packet: by its source's questions, if answers teach, by the other rules, and by its source's first
    /// contacts, if scans are detected. Each function is called after the previous one has returned.
    #[inline(always)]
    pub fn take(self, context: *mut xdp_md) -> u32 {
        let action = if settings().learns() { self.learn(context) } else { (self.free)(context) };
        if action != Action::Pass as u32 || !settings().detects_scans() {
            return action;
        }
        let contact = (self.first)(context);
        if contact == 0 { action } else { self.judge(context, contact) }
    }

    /// Notes the contact of a SYN that the other rules pass, and judges its source.
    #[inline(always)]
    fn judge(&self, context: *mut xdp_md, contact: u64) -> u32 {
        let judged = (self.note)(context, contact);
        if judged == 0 { Action::Pass as u32 } else { (self.convict)(context, judged) }
    }

    /// Does the same where answers teach or scans are detected. `newcomer` notes the contact of a new source, where answers
    /// don't teach.
    #[inline(always)]
    fn take_noted(self, context: *mut xdp_md, newcomer: fn(*mut xdp_md) -> u64) -> u32 {
        if !settings().detects_scans() {
            return self.learn(context);
        }
        let found = if settings().learns() { IS_UNDECIDED } else { newcomer(context) };
        match found {
            0 => Action::Pass as u32,
            IS_UNDECIDED => self.take(context),
            contact if contact & IS_CONTACT != 0 => self.judge(context, contact),
            judged => (self.convict)(context, judged),
        }
    }

    /// Judges a packet by its source's questions, and by the other rules.
    #[inline(always)]
    fn learn(&self, context: *mut xdp_md) -> u32 {
        let found = (self.contact)(context);
        if found == UNSURE { (self.free)(context) } else { found }
    }
}

const IPV4: Steps = Steps {
    contact: contact_ipv4,
    free: free_ipv4,
    first: first_contact_ipv4,
    note: note_contact_ipv4,
    convict: convict_ipv4,
};

const IPV6: Steps = Steps {
    contact: contact_ipv6,
    free: free_ipv6,
    first: first_contact_ipv6,
    note: note_contact_ipv6,
    convict: convict_ipv6,
};

/// Judges an IPv4 packet whose source is free.
#[inline(always)]
pub fn settle_free_ipv4(context: *mut xdp_md) -> u32 {
    IPV4.take(context)
}

/// The same for IPv6.
#[inline(always)]
pub fn settle_free_ipv6(context: *mut xdp_md) -> u32 {
    IPV6.take(context)
}

/// Judges an IPv4 SYN of a free source, if answers teach or scans are detected.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn ask_ipv4(context: *mut xdp_md) -> u32 {
    IPV4.take_noted(context, note_newcomer_ipv4)
}

/// The same for IPv6.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn ask_ipv6(context: *mut xdp_md) -> u32 {
    IPV6.take_noted(context, note_newcomer_ipv6)
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
