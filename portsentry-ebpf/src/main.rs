//! The kernel program: pointers, maps and helpers for the rules in `portsentry-common`.
#![no_std]
#![no_main]
#![feature(core_intrinsics, asm_experimental_arch)]
#![allow(missing_docs, reason = "the `xdp` macro leaves the program's out")]
#![allow(internal_features, reason = "the BPF target has no stable atomic read-modify-write")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_lossless,
    reason = "helpers and contexts use other integer widths, and a check would cost an instruction"
)]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "one reason holds for all words of a record")]
#![allow(
    clippy::no_mangle_with_rust_abi,
    reason = "the verifier needs the names; no other object links to them"
)]
#![allow(clippy::needless_pass_by_value, reason = "the macros require programs that own their context")]
#![allow(
    clippy::declare_interior_mutable_const,
    clippy::large_stack_arrays,
    reason = "the initial value of a static, not an array on the stack"
)]
#![allow(clippy::many_single_char_names, reason = "the words of an address")]

mod accept;
mod atomic;
mod bare;
mod barrier_var;
mod benign;
mod clock;
mod contact;
mod egress;
mod flows;
mod frame;
mod gate;
mod hooks;
mod kernel;
mod layers;
mod learned;
mod learning;
mod maps;
mod open;
mod scan;
mod served;
mod settings;
mod sockets;
mod steer;
mod table;

use aya_ebpf::{EbpfContext, bindings::xdp_md, macros::xdp, programs::XdpContext};
use portsentry_common::{
    address::{Ipv4, Ipv6},
    block::Block,
    challenge::Challenged,
    gate::Near,
    judge::{
        Action, Clear, FastPath, Fenced, SourceState, Suspect, fast_path, network, precheck,
        slow_path_fenced, slow_path_free, slow_path_proof, slow_path_unsettled, source_state, suspect,
    },
    parse::{Network, Plain},
};

use crate::{
    contact::{ask_ipv4, ask_ipv6, settle_free_ipv4, settle_free_ipv6},
    frame::XdpFrame,
    kernel::{Data, Family, Kernel},
    open::{answer_ipv4, answer_ipv6, open_ipv4, open_ipv6},
    settings::settings,
};

/// Judges every frame that an interface receives.
///
/// It calls no helper, and calls other functions only as its last step. Therefore it saves no registers, which
/// makes nearly every frame cheaper.
#[xdp(frags)]
pub fn portsentry(context: XdpContext) -> u32 {
    fast_path(&XdpFrame::<false>::new(&context), &Data, |found| match found {
        FastPath::Decided(action) => action as u32,
        FastPath::SuspectIpv4(Near(near)) => suspect_ipv4(context.as_ptr().cast(), near.into()),
        FastPath::SuspectIpv6(Near(near)) => suspect_ipv6(context.as_ptr().cast(), near.into()),
        FastPath::SynIpv4 if settings().notes_syns() => ask_ipv4(context.as_ptr().cast()),
        FastPath::SynIpv4 => free_ipv4(context.as_ptr().cast()),
        FastPath::SynIpv6 if settings().notes_syns() => ask_ipv6(context.as_ptr().cast()),
        FastPath::SynIpv6 => free_ipv6(context.as_ptr().cast()),
        FastPath::Unsettled => unsettled(context.as_ptr().cast()),
    })
}

/// Judges an IPv4 packet whose source may be blocked or fenced. This function and those below are separate to limit
/// the stack, which is small. They have symbols so that the verifier checks each only once (Linux 5.6). The stacks
/// along a chain of calls add up, each rounded up to a multiple of 32 bytes (16 since Linux 6.8). Therefore
/// functions that call others use almost none.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn suspect_ipv4(context: *mut xdp_md, near: u64) -> u32 {
    match suspected::<Ipv4>(context, near, answer_ipv4) {
        FENCED_IPV4 => settle_fenced_ipv4(context),
        FREE_IPV4 => match clear(context) {
            UNSURE => settle_free_ipv4(context),
            action => action,
        },
        action => action,
    }
}

/// Judges a packet whose source may be blocked or fenced, as far as its headers and that source's state decide. Passes a
/// fenced source's SYN, with its fence, to `open`.
#[inline(always)]
fn suspected<A: Plain + Family>(
    context: *mut xdp_md,
    near: u64,
    open: fn(*mut xdp_md, *mut Block) -> u32,
) -> u32 {
    let fenced = if A::VERSION == 4 { FENCED_IPV4 } else { FENCED_IPV6 };
    let context = XdpContext::new(context);
    let (frame, kernel) = (XdpFrame::<false>::new(&context), Kernel::new(&context));
    match suspect::<A, _, _>(&frame, Near(near as u32), &kernel) {
        Suspect::Decided(action) => action as u32,
        Suspect::Syn(fence) => match open(context.as_ptr().cast(), fence) {
            UNSETTLED => fenced,
            action => action,
        },
        Suspect::Fenced => fenced,
        Suspect::Free if A::VERSION == 4 => FREE_IPV4,
        Suspect::Free => FREE_IPV6,
    }
}

/// Judges a packet whose source is free, although a blocked or fenced one is near it, by the fast path and the precheck.
#[inline(always)]
fn clear(context: *mut xdp_md) -> u32 {
    const SYN: u32 = 0x101;
    const UNSETTLED: u32 = 0x102;
    let frame = XdpContext::new(context);
    let found = fast_path(&XdpFrame::<false>::new(&frame), &Clear(Data), |found| match found {
        FastPath::Decided(action) => action as u32,
        FastPath::SynIpv4 | FastPath::SynIpv6 => SYN,
        FastPath::SuspectIpv4(_) | FastPath::SuspectIpv6(_) | FastPath::Unsettled => UNSETTLED,
    });
    match found {
        SYN => UNSURE,
        UNSETTLED => precheck_frame(context, 1),
        action => action,
    }
}

/// Does the same for IPv6. A function that returns before the next call does the look-up, so that their stacks
/// don't add up.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn suspect_ipv6(context: *mut xdp_md, near: u64) -> u32 {
    match suspected_ipv6(context, near) {
        FENCED_IPV6 => settle_fenced_ipv6(context),
        FREE_IPV6 => match clear(context) {
            UNSURE => settle_free_ipv6(context),
            action => action,
        },
        action => action,
    }
}

/// Judges an IPv6 packet as far as its headers and its source's state decide.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn suspected_ipv6(context: *mut xdp_md, near: u64) -> u32 {
    suspected::<Ipv6>(context, near, answer_ipv6)
}

/// Judges a frame that the fast path doesn't decide, by the precheck and, if needed, the slow path.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn unsettled(context: *mut xdp_md) -> u32 {
    let found = precheck_frame(context, 0);
    if found != UNSURE {
        return found;
    }
    match classify_source(context) {
        FREE_IPV4 => settle_free_ipv4(context),
        FREE_IPV6 => settle_free_ipv6(context),
        FENCED_IPV4 => settle_fenced_ipv4(context),
        FENCED_IPV6 => settle_fenced_ipv6(context),
        action => action,
    }
}

/// Judges an IPv4 packet of a fenced source. Each function is called after the previous one has returned, because
/// their stacks would add up.
#[inline(always)]
fn settle_fenced_ipv4(context: *mut xdp_md) -> u32 {
    match fenced_ipv4(context) {
        SYN => settled(open_ipv4(context)),
        UNSETTLED => match further_ipv4(context) {
            PROVES => prove_ipv4(context),
            action => action,
        },
        action => action,
    }
}

/// The same for IPv6.
#[inline(always)]
fn settle_fenced_ipv6(context: *mut xdp_md) -> u32 {
    match fenced_ipv6(context) {
        SYN => settled(open_ipv6(context)),
        UNSETTLED => match further_ipv6(context) {
            PROVES => prove_ipv6(context),
            action => action,
        },
        action => action,
    }
}

/// Returns the action for a SYN. One that is no longer addressed to this host is dropped.
#[inline(always)]
const fn settled(found: u32) -> u32 {
    if found == UNSETTLED { Action::Drop as u32 } else { found }
}

/// Results of [`fenced_ipv4`] and [`fenced_ipv6`] besides the actions.
const SYN: u32 = 0x400;
const UNSETTLED: u32 = 0x401;
const PROVES: u32 = 0x402;

/// Result of [`precheck_frame`] for an undecided frame. Other results are actions.
const UNSURE: u32 = 0x100;

/// Runs the precheck on a frame.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn precheck_frame(context: *mut xdp_md, is_clear: u64) -> u32 {
    let context = XdpContext::new(context);
    precheck(&XdpFrame::<false>::new(&context), is_clear != 0, &Kernel::new(&context))
        .map_or(UNSURE, |action| action as u32)
}

/// Results of [`classify_source`] besides the actions.
const FREE_IPV4: u32 = 0x104;
const FREE_IPV6: u32 = 0x106;
const FENCED_IPV4: u32 = 0x204;
const FENCED_IPV6: u32 = 0x206;

/// Returns the state of a frame's source.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn classify_source(context: *mut xdp_md) -> u32 {
    classify_source_as::<false>(context)
}

#[inline(always)]
fn classify_source_as<const BARE: bool>(context: *mut xdp_md) -> u32 {
    let context = XdpContext::new(context);
    let (frame, kernel) = (XdpFrame::<BARE>::new(&context), Kernel::new(&context));
    kernel.follow_clock();
    match network(&frame, &kernel) {
        Network::Ipv4 => match source_state::<Ipv4, _, _>(&frame, &kernel) {
            SourceState::Blocked => Action::Drop as u32,
            SourceState::Fenced => FENCED_IPV4,
            SourceState::Free => FREE_IPV4,
        },
        Network::Ipv6 => match source_state::<Ipv6, _, _>(&frame, &kernel) {
            SourceState::Blocked => Action::Drop as u32,
            SourceState::Fenced => FENCED_IPV6,
            SourceState::Free => FREE_IPV6,
        },
        Network::Other => Action::Pass as u32,
        Network::Buried => Action::Drop as u32,
    }
}

/// Judges a packet of this address family whose source is free.
#[inline(always)]
fn free<A: Plain + Challenged + Family, const BARE: bool>(context: *mut xdp_md) -> u32 {
    let context = XdpContext::new(context);
    let kernel = Kernel::new(&context);
    kernel.follow_clock();
    slow_path_free::<A, _, _>(&XdpFrame::<BARE>::new(&context), &kernel) as u32
}

/// Judges a packet of this address family whose source is fenced.
#[inline(always)]
fn fenced<A: Plain + Challenged + Family, const BARE: bool>(context: *mut xdp_md) -> u32 {
    let context = XdpContext::new(context);
    number(slow_path_fenced::<A, _, _>(&XdpFrame::<BARE>::new(&context), &Kernel::new(&context)))
}

/// Returns the number that stands for the result.
#[inline(always)]
const fn number(fenced: Fenced) -> u32 {
    match fenced {
        Fenced::Settled(action) => action as u32,
        Fenced::Syn => SYN,
        Fenced::Unsettled => UNSETTLED,
        Fenced::Proves => PROVES,
    }
}

/// Judges a fenced source's packet by its port, if its headers alone don't decide.
#[inline(always)]
fn further<A: Plain + Challenged + Family, const BARE: bool>(context: *mut xdp_md) -> u32 {
    let context = XdpContext::new(context);
    number(slow_path_unsettled::<A, _, _>(&XdpFrame::<BARE>::new(&context), &Kernel::new(&context)))
}

/// Judges a packet that proves its source.
#[inline(always)]
fn proves<A: Plain + Challenged + Family, const BARE: bool>(context: *mut xdp_md) -> u32 {
    let context = XdpContext::new(context);
    slow_path_proof::<A, _, _>(&XdpFrame::<BARE>::new(&context), &Kernel::new(&context)) as u32
}

/// Judges an IPv4 packet that proves its source.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn prove_ipv4(context: *mut xdp_md) -> u32 {
    proves::<Ipv4, false>(context)
}

/// Judges an IPv6 packet that proves its source.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn prove_ipv6(context: *mut xdp_md) -> u32 {
    proves::<Ipv6, false>(context)
}

/// Judges a fenced source's IPv4 packet by its port.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn further_ipv4(context: *mut xdp_md) -> u32 {
    further::<Ipv4, false>(context)
}

/// Judges a fenced source's IPv6 packet by its port.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn further_ipv6(context: *mut xdp_md) -> u32 {
    further::<Ipv6, false>(context)
}

/// Judges an IPv4 packet whose source is free.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn free_ipv4(context: *mut xdp_md) -> u32 {
    free::<Ipv4, false>(context)
}

/// Judges an IPv6 packet whose source is free.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn free_ipv6(context: *mut xdp_md) -> u32 {
    free::<Ipv6, false>(context)
}

/// Judges an IPv4 packet whose source is fenced.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn fenced_ipv4(context: *mut xdp_md) -> u32 {
    fenced::<Ipv4, false>(context)
}

/// Judges an IPv6 packet whose source is fenced.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn fenced_ipv6(context: *mut xdp_md) -> u32 {
    fenced::<Ipv6, false>(context)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
