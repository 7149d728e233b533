//! The XDP context as a [`Frame`].

use core::{ffi::c_void, mem::MaybeUninit, ptr::with_exposed_provenance_mut};

use aya_ebpf::{
    EbpfContext,
    bindings::xdp_md,
    helpers::generated::{bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
    programs::XdpContext,
};
use bytemuck::{AnyBitPattern, NoUninit};
use portsentry_common::{
    frame::{Bytes, Frame, Rewrite, Room},
    parse::{Chain, Deep, Link, Malformed},
};

use crate::{barrier_var::barrier_var, layers};

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

impl<const BARE: bool> Frame for XdpFrame<'_, BARE> {
    type Bytes = Packet;

    const IS_BARE: bool = BARE;

    /// Reads the bounds from the context each time, so that none is kept across a helper call.
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
        // SAFETY: the kernel handed this context to the program.
        unsafe { bpf_xdp_get_buff_len(self.context()) as usize }
    }

    #[inline(always)]
    fn fresh_bytes(&self) -> Packet {
        // SAFETY: fields of the context that the kernel handed to the program.
        let [start, end] = unsafe {
            [&raw const (*self.context()).data, &raw const (*self.context()).data_end]
                .map(|bound| bound.read_volatile() as usize)
        };
        Packet { start, end }
    }

    #[inline(always)]
    fn load<T: AnyBitPattern>(&self, offset: usize) -> Option<T> {
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: the context comes from the kernel, and `value` has room for the requested bytes.
        let failed = unsafe {
            bpf_xdp_load_bytes(
                self.context(),
                offset as u32,
                value.as_mut_ptr().cast(),
                size_of::<T>() as u32,
            )
        };
        // SAFETY: the helper has written all bytes, and any bits make a `T`.
        (failed == 0).then(|| unsafe { value.assume_init() })
    }

    #[inline(always)]
    fn deep_link(&self) -> Result<Link, Malformed> {
        layers::unpack(layers::deep_link(self.context()))
    }

    #[inline(always)]
    fn next_tags(&self, deep: Deep) -> Deep {
        Deep::from_word(layers::next_tags(self.context(), deep.to_word()))
    }

    #[inline(always)]
    fn follow(&self, chain: Chain, end: usize) -> Chain {
        Chain::from_word(layers::follow(self.context(), chain.to_word(), end as u64))
    }

    #[inline(always)]
    fn next_headers(&self, chain: Chain, end: usize) -> Chain {
        Chain::from_word(layers::next_headers(self.context(), chain.to_word(), end as u64))
    }
}

/// A frame's first buffer, with bounds known to the verifier.
#[derive(Clone, Copy)]
pub struct Packet {
    start: usize,
    end: usize,
}

impl Packet {
    /// Returns the buffer between the bounds that a context gives.
    #[inline(always)]
    pub fn between(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// Returns its length in bytes.
    #[inline(always)]
    pub fn length(self) -> usize {
        self.end - self.start
    }

    /// Returns a pointer to `length` bytes at `offset`, or `None` if they aren't wholly inside the buffer.
    #[inline(always)]
    pub fn at(self, offset: usize, length: usize) -> Option<*mut c_void> {
        let at = self.start + offset;
        (at + length <= self.end).then(|| with_exposed_provenance_mut(at))
    }
}

impl Bytes for Packet {
    /// Loads whole words: `read_unaligned` would become one load per byte, which doubles the cost of an honest
    /// packet. All supported kernels allow unaligned loads from packets.
    #[inline(always)]
    fn read<T: AnyBitPattern>(self, offset: usize) -> Option<T> {
        let at = self.start + offset;
        if at + size_of::<T>() > self.end {
            return None;
        }
        // SAFETY: the bounds were checked against `data_end`, and any bits make a `T`. The pointer may be unaligned
        // for `T`, which the BPF instruction set permits where the kernel's architecture does.
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

impl<const BARE: bool> Rewrite for XdpFrame<'_, BARE> {
    type Room<'a>
        = Packet
    where
        Self: 'a;

    #[inline(always)]
    fn room(&self) -> Packet {
        self.bytes()
    }

    #[inline(always)]
    fn headers(&self, offset: usize) -> (Packet, Packet, usize) {
        let Packet { start, end } = self.bytes();
        let headers = Packet { start: barrier_var(start + offset), end };
        (headers, headers, 0)
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
