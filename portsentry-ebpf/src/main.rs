//! The kernel program: pointers, maps and helpers for the rules in `portsentry-common`.
//!
//! It must not hold a rule of its own.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![allow(missing_docs, reason = "the `xdp` macro leaves the program's out")]
#![allow(internal_features, reason = "the BPF target has no stable atomic read-modify-write")]

mod atomic;
mod explained;
mod frame;
mod kernel;
mod maps;
mod sockets;

use aya_ebpf::{
    EbpfContext,
    bindings::{
        xdp_action::{XDP_DROP, XDP_PASS},
        xdp_md,
    },
    macros::xdp,
    programs::XdpContext,
};
use portsentry_common::judge::{Action, examine, glance};

use crate::{frame::XdpFrame, kernel::Kernel};

/// Judges every frame that an interface receives.
#[xdp(frags)]
pub fn portsentry(context: XdpContext) -> u32 {
    match glance(&XdpFrame::new(&context), &Kernel::new(&context)) {
        Some(Action::Pass) => XDP_PASS,
        Some(Action::Drop) => XDP_DROP,
        None => thoroughly(context.as_ptr().cast()),
    }
}

/// For the few frames that a glance doesn't settle; apart, so that its needs don't burden the others.
#[inline(never)]
fn thoroughly(context: *mut xdp_md) -> u32 {
    let context = XdpContext::new(context);
    match examine(&XdpFrame::new(&context), &Kernel::new(&context)) {
        Action::Pass => XDP_PASS,
        Action::Drop => XDP_DROP,
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
