//! Judges fenced sources' SYNs, if the fence is open.

use core::ptr::null_mut;

use aya_ebpf::{bindings::xdp_md, programs::XdpContext};
use portsentry_common::{
    address::{Ipv4, Ipv6},
    block::Block,
    challenge::Challenged,
    judge::open,
    parse::Plain,
};

use crate::{
    UNSETTLED,
    frame::XdpFrame,
    kernel::{Family, Kernel},
};

/// Judges a fenced source's SYN to an own address, if the fence is open. Returns [`UNSETTLED`] for others. `fence` is the
/// source's, or null if it must be looked up.
#[inline(always)]
pub fn opened<A: Plain + Challenged + Family, const BARE: bool>(
    context: *mut xdp_md,
    fence: *mut Block,
) -> u32 {
    let context = XdpContext::new(context);
    let fence = if fence.is_null() { None } else { Some(fence) };
    open::<A, _, _>(&XdpFrame::<BARE>::new(&context), fence, &Kernel::new(&context))
        .map_or(UNSETTLED, |action| action as u32)
}

/// Judges a fenced source's IPv4 SYN, if the fence is open.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn open_ipv4(context: *mut xdp_md) -> u32 {
    answer_ipv4(context, null_mut())
}

/// Judges a fenced source's IPv6 SYN, if the fence is open.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn open_ipv6(context: *mut xdp_md) -> u32 {
    answer_ipv6(context, null_mut())
}

/// Judges a fenced source's IPv4 SYN by [`opened`]. Local to this program, because the verifiers of Linux 6.1 and 6.12
/// know the type of an entry only if they check a function together with its caller.
#[inline(never)]
pub fn answer_ipv4(context: *mut xdp_md, fence: *mut Block) -> u32 {
    opened::<Ipv4, false>(context, fence)
}

/// The same for IPv6.
#[inline(never)]
pub fn answer_ipv6(context: *mut xdp_md, fence: *mut Block) -> u32 {
    opened::<Ipv6, false>(context, fence)
}
