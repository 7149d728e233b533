//! A frame as the program receives it in `BPF_PROG_TEST_RUN`.

use std::cell::RefCell;

use bytemuck::{AnyBitPattern, NoUninit};
use portsentry_common::{
    frame::{Bytes, Frame, Rewrite, Room},
    parse::{Chain, Deep, Link, Malformed, deep_link},
};

/// Size of the first buffer: a page of 4 KiB minus headroom and the kernel's record at its end
/// (`bpf_prog_test_run_xdp` in the kernel's `net/bpf/test_run.c`). Later bytes can only be counted.
pub const FIRST_BUFFER: usize = 4096 - 256 - 320;

/// A frame in a first buffer, and in further ones if it is longer. A `BARE` frame begins with its IP header.
#[derive(Clone, Debug)]
pub struct Received<'a, const BARE: bool = false> {
    frame: &'a [u8],
    /// The frame as the rules rewrote it. They never read their own changes.
    rewritten: RefCell<Vec<u8>>,
}

impl<'a, const BARE: bool> Received<'a, BARE> {
    /// Creates a received frame.
    #[must_use]
    pub fn new(frame: &'a [u8]) -> Self {
        Self { frame, rewritten: RefCell::new(frame.to_vec()) }
    }

    /// Returns the frame as the rules rewrote it.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.rewritten.into_inner()
    }
}

impl<'a, const BARE: bool> Frame for Received<'a, BARE> {
    type Bytes = &'a [u8];

    const IS_BARE: bool = BARE;

    fn bytes(&self) -> &'a [u8] {
        &self.frame[..self.frame.len().min(FIRST_BUFFER)]
    }

    fn holds(&self, length: usize) -> bool {
        length <= self.frame.len()
    }

    fn length(&self) -> usize {
        self.frame.len()
    }

    fn load<T: AnyBitPattern>(&self, offset: usize) -> Option<T> {
        Bytes::read(self.frame, offset)
    }

    fn deep_link(&self) -> Result<Link, Malformed> {
        deep_link(self)
    }

    fn next_tags(&self, deep: Deep) -> Deep {
        deep.next(self)
    }

    fn follow(&self, chain: Chain, end: usize) -> Chain {
        chain.follow(self, end)
    }

    fn next_headers(&self, chain: Chain, end: usize) -> Chain {
        chain.next(self, end)
    }
}

impl<const BARE: bool> Rewrite for Received<'_, BARE> {
    type Room<'a>
        = Rewritten<'a>
    where
        Self: 'a;

    fn room(&self) -> Rewritten<'_> {
        Rewritten(&self.rewritten)
    }
}

/// The first buffer, for writing.
#[derive(Clone, Copy, Debug)]
pub struct Rewritten<'a>(&'a RefCell<Vec<u8>>);

impl Room for Rewritten<'_> {
    fn write<T: NoUninit>(self, offset: usize, value: T) -> bool {
        let bytes = bytemuck::bytes_of(&value);
        let mut frame = self.0.borrow_mut();
        let end = frame.len().min(FIRST_BUFFER);
        frame[..end].get_mut(offset..offset + bytes.len()).map(|place| place.copy_from_slice(bytes)).is_some()
    }
}
