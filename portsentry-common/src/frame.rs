//! A received frame, read at an offset: a byte slice is one, the XDP context another.
//!
//! It must not interpret what it reads.

use bytemuck::{AnyBitPattern, NoUninit};

/// Bytes that can be read directly, in the order in which they came off the wire.
pub trait Bytes: Copy {
    /// The value at `offset` bytes, in wire (network) byte order, or `None` if it does not lie wholly in these
    /// bytes.
    fn read<T: AnyBitPattern>(self, offset: usize) -> Option<T>;

    /// Whether there are `length` bytes.
    fn reaches(self, length: usize) -> bool;

    /// What follows the first `length` bytes; nothing if there are fewer.
    #[must_use]
    fn skip(self, length: usize) -> Self;
}

/// A frame from its Ethernet header on.
pub trait Frame {
    /// What of a frame can be read directly.
    type Bytes: Bytes;

    /// The part of the frame that can be read directly.
    fn bytes(&self) -> Self::Bytes;

    /// Whether the frame is at least `length` bytes long, counting what cannot be read directly (the
    /// further buffers of a multi-buffer XDP frame).
    fn holds(&self, length: usize) -> bool;

    /// Length of the whole frame in bytes.
    fn length(&self) -> usize;
}

/// A frame that can be made its own answer.
pub trait Rewrite: Frame {
    /// What of a frame can be written directly.
    type Room<'a>: Room
    where
        Self: 'a;

    /// The part of the frame that can be written directly: the same that can be read.
    fn room(&self) -> Self::Room<'_>;
}

/// Bytes that can be written directly.
pub trait Room: Copy {
    /// Puts `value` at `offset` bytes; `false` if that does not lie wholly in these bytes.
    fn write<T: NoUninit>(self, offset: usize, value: T) -> bool;
}

impl Bytes for &[u8] {
    #[inline(always)]
    fn read<T: AnyBitPattern>(self, offset: usize) -> Option<T> {
        let bytes = self.get(offset..offset.checked_add(size_of::<T>())?)?;
        bytemuck::try_pod_read_unaligned(bytes).ok()
    }

    #[inline(always)]
    fn reaches(self, length: usize) -> bool {
        length <= self.len()
    }

    #[inline(always)]
    fn skip(self, length: usize) -> Self {
        self.get(length..).unwrap_or_default()
    }
}

impl<'a> Frame for &'a [u8] {
    type Bytes = &'a [u8];

    #[inline(always)]
    fn bytes(&self) -> &'a [u8] {
        self
    }

    #[inline(always)]
    fn holds(&self, length: usize) -> bool {
        length <= self.len()
    }

    #[inline(always)]
    fn length(&self) -> usize {
        self.len()
    }
}
