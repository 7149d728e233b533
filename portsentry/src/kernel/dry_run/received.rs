//! A frame in memory that the rules may rewrite.

use std::cell::RefCell;

use bytemuck::{AnyBitPattern, NoUninit};
use portsentry_common::{
    frame::{Bytes, Frame, Rewrite, Room},
    parse::{Chain, Deep, Link, Malformed, deep_link},
};

/// A frame. A `BARE` one begins with its IP header.
#[derive(Clone, Debug)]
pub(super) struct Received<'a, const BARE: bool> {
    frame: &'a [u8],
    /// The frame as rewritten. The rules never read their own changes.
    rewritten: RefCell<Vec<u8>>,
}

impl<'a, const BARE: bool> Received<'a, BARE> {
    pub(super) fn new(frame: &'a [u8]) -> Self {
        Self { frame, rewritten: RefCell::new(frame.to_vec()) }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.rewritten.into_inner()
    }
}

impl<'a, const BARE: bool> Frame for Received<'a, BARE> {
    type Bytes = &'a [u8];

    const IS_BARE: bool = BARE;

    fn bytes(&self) -> &'a [u8] {
        self.frame
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

/// The frame, for writing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rewritten<'a>(&'a RefCell<Vec<u8>>);

impl Room for Rewritten<'_> {
    fn write<T: NoUninit>(self, offset: usize, value: T) -> bool {
        let bytes = bytemuck::bytes_of(&value);
        let mut frame = self.0.borrow_mut();
        frame.get_mut(offset..offset + bytes.len()).map(|place| place.copy_from_slice(bytes)).is_some()
    }
}
