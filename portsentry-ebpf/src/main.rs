//! The kernel program: pointers, maps and helpers for the rules in `portsentry-common`.
//!
//! It must not hold a rule of its own.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![allow(missing_docs, reason = "the `xdp` macro leaves the program's out")]
#![allow(internal_features, reason = "the BPF target has no stable atomic read-modify-write")]

mod atomic;
mod frame;
mod kernel;
mod maps;
mod sockets;

use aya_ebpf::{
    bindings::xdp_action::{XDP_DROP, XDP_PASS},
    macros::xdp,
    programs::XdpContext,
};
use portsentry_common::judge::{Action, judge};

use crate::{frame::XdpFrame, kernel::Kernel};

/// Judges every frame that an interface receives.
#[xdp(frags)]
pub fn portsentry(context: XdpContext) -> u32 {
    match judge(&XdpFrame::new(&context), &Kernel::new(&context)) {
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
