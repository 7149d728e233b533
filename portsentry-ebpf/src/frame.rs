//! The XDP context as a [`Frame`](portsentry_common::frame::Frame).

mod access;
mod packet;

use aya_ebpf::{EbpfContext, bindings::xdp_md, programs::XdpContext};

pub use packet::{Packet, linear};

/// A received frame. It starts with its Ethernet header or, if `BARE`, with its IP header.
pub struct XdpFrame<'a, const BARE: bool = false> {
    context: &'a XdpContext,
}

impl<'a, const BARE: bool> XdpFrame<'a, BARE> {
    #[inline(always)]
    pub fn new(context: &'a XdpContext) -> Self {
        Self { context }
    }
}

impl<const BARE: bool> XdpFrame<'_, BARE> {
    #[inline(always)]
    fn context(&self) -> *mut xdp_md {
        self.context.as_ptr().cast()
    }
}
