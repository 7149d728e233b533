//! A frame in memory that the rules may rewrite.

use std::cell::RefCell;

use bytemuck::{AnyBitPattern, NoUninit};
use portsentry_common::frame::{Bytes, Frame, Rewrite, Room};

/// A frame. A `BARE` one begins with its IP header.
#[derive(Clone, Debug)]
pub struct Received<'a, const BARE: bool> {
    frame: &'a [u8],
    /// Number of bytes that can be read and written directly.
    direct: usize,
    /// The frame as rewritten. The rules never read their own changes.
    rewritten: RefCell<Vec<u8>>,
}

impl<'a, const BARE: bool> Received<'a, BARE> {
    /// Returns a frame in one buffer.
    #[must_use]
    pub fn new(frame: &'a [u8]) -> Self {
        Self::in_buffers(frame, frame.len())
    }

    /// Returns a frame whose first buffer holds at most `first` bytes, and later ones the rest.
    #[must_use]
    pub fn in_buffers(frame: &'a [u8], first: usize) -> Self {
        Self { frame, direct: frame.len().min(first), rewritten: RefCell::new(frame.to_vec()) }
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
        &self.frame[..self.direct]
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
}

impl<const BARE: bool> Rewrite for Received<'_, BARE> {
    type Room<'a>
        = Rewritten<'a>
    where
        Self: 'a;

    fn room(&self) -> Rewritten<'_> {
        Rewritten { frame: &self.rewritten, direct: self.direct }
    }
}

/// The first buffer, for writing.
#[derive(Clone, Copy, Debug)]
pub struct Rewritten<'a> {
    frame: &'a RefCell<Vec<u8>>,
    direct: usize,
}

impl Room for Rewritten<'_> {
    fn write<T: NoUninit>(self, offset: usize, value: T) -> bool {
        let bytes = bytemuck::bytes_of(&value);
        let mut frame = self.frame.borrow_mut();
        let direct = &mut frame[..self.direct];
        direct.get_mut(offset..offset + bytes.len()).map(|place| place.copy_from_slice(bytes)).is_some()
    }
}
