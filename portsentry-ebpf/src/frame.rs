//! The XDP context as a [`Frame`]. It must not interpret what it reads.

use aya_ebpf::{EbpfContext, helpers::generated::bpf_xdp_get_buff_len, programs::XdpContext};
use bytemuck::{AnyBitPattern, NoUninit};
use portsentry_common::frame::{Bytes, Frame, Rewrite, Room};

/// A received frame.
pub struct XdpFrame<'a> {
    context: &'a XdpContext,
}

impl<'a> XdpFrame<'a> {
    #[inline(always)]
    pub fn new(context: &'a XdpContext) -> Self {
        Self { context }
    }
}

impl Frame for XdpFrame<'_> {
    type Bytes = Packet;

    /// Read from the context each time, so that the bounds need not be kept over a helper's call.
    #[inline(always)]
    fn bytes(&self) -> Packet {
        Packet { start: self.context.data(), end: self.context.data_end() }
    }

    #[inline(always)]
    fn holds(&self, length: usize) -> bool {
        self.bytes().reaches(length) || length <= self.length()
    }

    #[inline(always)]
    fn length(&self) -> usize {
        // SAFETY: the context is the one that the kernel handed to the program.
        unsafe { bpf_xdp_get_buff_len(self.context.as_ptr().cast()) as usize }
    }
}

/// A frame's first buffer, between bounds that the verifier knows.
#[derive(Clone, Copy)]
pub struct Packet {
    start: usize,
    end: usize,
}

impl Bytes for Packet {
    /// Loads by whole words: `read_unaligned` would become one load for each byte, which doubles the cost of
    /// an honest packet. Every kernel that this is built for takes unaligned loads from packets.
    #[inline(always)]
    fn read<T: AnyBitPattern>(self, offset: usize) -> Option<T> {
        let at = self.start + offset;
        if at + size_of::<T>() > self.end {
            return None;
        }
        // SAFETY: the bounds were checked against `data_end`, and any bits make a `T`. `T`'s alignment may be
        // exceeded, which the BPF instruction set permits where the kernel's architecture does.
        Some(unsafe { *(at as *const T) })
    }

    #[inline(always)]
    fn reaches(self, length: usize) -> bool {
        self.start + length <= self.end
    }

    #[inline(always)]
    fn skip(self, length: usize) -> Self {
        Self { start: self.start + length, ..self }
    }
}

impl Rewrite for XdpFrame<'_> {
    type Room<'a>
        = Packet
    where
        Self: 'a;

    #[inline(always)]
    fn room(&self) -> Packet {
        self.bytes()
    }
}

impl Room for Packet {
    #[inline(always)]
    fn write<T: NoUninit>(self, offset: usize, value: T) -> bool {
        let at = self.start + offset;
        if at + size_of::<T>() > self.end {
            return false;
        }
        // SAFETY: the bounds were checked against `data_end`, and XDP programs own the frame while they run. For
        // the alignment see `read`.
        unsafe { *(at as *mut T) = value };
        true
    }
}
