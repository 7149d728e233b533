//! A received frame, read by offset: a byte slice, or the XDP context.

use core::hint::cold_path;

use bytemuck::{AnyBitPattern, NoUninit};

use crate::parse::{Chain, Deep, Link, Malformed};

/// Bytes that can be read directly, in wire order.
pub trait Bytes: Copy {
    /// Returns the value at `offset` bytes, in wire (network) byte order. Returns `None` if it isn't wholly within
    /// these bytes.
    fn read<T: AnyBitPattern>(self, offset: usize) -> Option<T>;

    /// Whether there are at least `length` bytes.
    fn reaches(self, length: usize) -> bool;

    /// Returns the bytes after the first `length`, or none if there are fewer.
    #[must_use]
    fn skip(self, length: usize) -> Self;
}

/// A frame. It starts with its Ethernet header or, on interfaces without one, with its IP header.
pub trait Frame {
    /// The part of a frame that can be read directly.
    type Bytes: Bytes;

    /// Whether the frame begins with its IP header.
    const IS_BARE: bool = false;

    /// Returns the part of the frame that can be read directly.
    fn bytes(&self) -> Self::Bytes;

    /// Returns the same bytes, read again: the compiler turns bounds that are kept for long into something other
    /// than pointers.
    #[inline(always)]
    fn fresh_bytes(&self) -> Self::Bytes {
        self.bytes()
    }

    /// Whether the frame is at least `length` bytes long, including the bytes that can't be read directly (further
    /// buffers of a multi-buffer XDP frame).
    fn holds(&self, length: usize) -> bool;

    /// Returns the length of the whole frame in bytes.
    fn length(&self) -> usize;

    /// Returns the value at `offset` bytes, in wire byte order, from any buffer. Returns `None` past the frame's
    /// end.
    fn load<T: AnyBitPattern>(&self, offset: usize) -> Option<T>;

    /// Reads directly where possible, otherwise by [`Frame::load`]. The verifier must know that `offset` is below
    /// 64 KiB.
    #[inline(always)]
    fn read<T: AnyBitPattern>(&self, offset: usize) -> Option<T> {
        self.fresh_bytes().read(offset).or_else(|| {
            cold_path();
            self.load(offset)
        })
    }

    /// Returns the whole frame as bytes; each read is a helper call.
    #[inline(always)]
    fn far(&self) -> Far<'_, Self>
    where
        Self: Sized,
    {
        Far { frame: self, start: 0 }
    }

    /// Reads a link layer with more than two tags ([`Deep::link`]). The kernel program overrides this and
    /// the functions below, to have them verified separately.
    #[inline(always)]
    fn deep_link(&self) -> Result<Link, Malformed> {
        Deep::link(self)
    }

    /// Reads further VLAN tags, up to the limit of one verified function ([`Deep::next`]).
    #[inline(always)]
    fn next_tags(&self, deep: Deep) -> Deep {
        deep.next(self)
    }

    /// Follows a chain of IPv6 extension headers, in a packet that ends at `end` bytes ([`Chain::follow`]).
    #[inline(always)]
    fn follow(&self, chain: Chain, end: usize) -> Chain {
        chain.follow(self, end)
    }

    /// Follows the chain, up to the limit of one verified function ([`Chain::next`]).
    #[inline(always)]
    fn next_headers(&self, chain: Chain, end: usize) -> Chain {
        chain.next(self, end)
    }
}

/// A frame that can be rewritten into its own answer.
pub trait Rewrite: Frame {
    /// The part of a frame that can be written directly.
    type Room<'a>: Room
    where
        Self: 'a;

    /// Returns the part of the frame that can be written directly, which is the part that can be read.
    fn room(&self) -> Self::Room<'_>;

    /// Returns the readable and the writable part, and the position of `offset` in both. Both are derived together:
    /// otherwise the verifier doesn't know that bounds of one hold for the other.
    #[inline(always)]
    fn headers(&self, offset: usize) -> (Self::Bytes, Self::Room<'_>, usize) {
        (self.bytes(), self.room(), offset)
    }
}

/// Bytes that can be written directly.
pub trait Room: Copy {
    /// Writes `value` at `offset` bytes. Returns `false` if it isn't wholly within these bytes.
    fn write<T: NoUninit>(self, offset: usize, value: T) -> bool;
}

/// A frame's bytes, in any of its buffers.
#[derive(Debug)]
pub struct Far<'a, F> {
    frame: &'a F,
    start: usize,
}

impl<F> Clone for Far<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for Far<'_, F> {}

impl<F: Frame> Bytes for Far<'_, F> {
    #[inline(always)]
    fn read<T: AnyBitPattern>(self, offset: usize) -> Option<T> {
        self.frame.load(self.start + offset)
    }

    #[inline(always)]
    fn reaches(self, length: usize) -> bool {
        self.frame.holds(self.start + length)
    }

    #[inline(always)]
    fn skip(self, length: usize) -> Self {
        Self { start: self.start + length, ..self }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use core::cell::RefCell;
    use std::vec::Vec;

    use super::{NoUninit, Room};

    /// A frame in memory.
    #[derive(Clone, Copy)]
    pub(crate) struct Written<'a>(pub(crate) &'a RefCell<Vec<u8>>);

    impl Room for Written<'_> {
        fn write<T: NoUninit>(self, offset: usize, value: T) -> bool {
            let bytes = bytemuck::bytes_of(&value);
            let mut frame = self.0.borrow_mut();
            frame.get_mut(offset..offset + bytes.len()).map(|place| place.copy_from_slice(bytes)).is_some()
        }
    }
}
