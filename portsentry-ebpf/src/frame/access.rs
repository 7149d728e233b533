//! Reads a frame directly, or by helpers and functions that are verified separately.

use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated::{bpf_xdp_get_buff_len, bpf_xdp_load_bytes};
use bytemuck::AnyBitPattern;
use portsentry_common::{
    frame::{Bytes, Frame, Rewrite},
    parse::{Chain, Deep, Link, Malformed},
};

use super::{XdpFrame, packet::Packet};
use crate::{barrier_var::barrier_var, layers};

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
