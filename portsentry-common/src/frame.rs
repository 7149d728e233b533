//! A received frame, read at an offset: a byte slice is one, the XDP context another.

use core::hint::cold_path;

use bytemuck::{AnyBitPattern, NoUninit};

use crate::parse::{self, Chain, Deep, Link, Malformed};

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

/// A frame from its Ethernet header on or, where the interface has none, from its IP header on.
pub trait Frame {
    /// What of a frame can be read directly.
    type Bytes: Bytes;

    /// Whether the frame begins with its IP header.
    const IS_BARE: bool = false;

    /// The part of the frame that can be read directly.
    fn bytes(&self) -> Self::Bytes;

    /// The same, looked up anew: of bounds that are kept, the compiler may make something else than pointers.
    #[inline(always)]
    fn fresh_bytes(&self) -> Self::Bytes {
        self.bytes()
    }

    /// Whether the frame is at least `length` bytes long, counting what cannot be read directly (the
    /// further buffers of a multi-buffer XDP frame).
    fn holds(&self, length: usize) -> bool;

    /// Length of the whole frame in bytes.
    fn length(&self) -> usize;

    /// The value at `offset` bytes, in wire byte order, in whichever buffer it lies; `None` past the frame's end.
    fn load<T: AnyBitPattern>(&self, offset: usize) -> Option<T>;

    /// The same, read directly where that is possible. The verifier must know `offset` to be below 64 KiB.
    #[inline(always)]
    fn read<T: AnyBitPattern>(&self, offset: usize) -> Option<T> {
        self.fresh_bytes().read(offset).or_else(|| {
            cold_path();
            self.load(offset)
        })
    }

    /// All of the frame as bytes, of which each value is a call of the kernel's.
    #[inline(always)]
    fn far(&self) -> Far<'_, Self>
    where
        Self: Sized,
    {
        Far { frame: self, start: 0 }
    }

    /// Reads a link layer that is more than two tags. A method, as are those below, so that the kernel program can have each
    /// verified by itself.
    #[inline(always)]
    fn deep_link(&self) -> Result<Link, Malformed> {
        parse::deep_link(self)
    }

    /// Reads on in a link layer, by as many tags as one function is verified for.
    #[inline(always)]
    fn next_tags(&self, deep: Deep) -> Deep {
        deep.next(self)
    }

    /// Follows a chain of IPv6 extension headers in a packet that ends at `end` bytes.
    #[inline(always)]
    fn follow(&self, chain: Chain, end: usize) -> Chain {
        chain.follow(self, end)
    }

    /// Follows it by as many headers as one function is verified for.
    #[inline(always)]
    fn next_headers(&self, chain: Chain, end: usize) -> Chain {
        chain.next(self, end)
    }
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

/// A frame's bytes in whichever buffers they lie.
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

    #[inline(always)]
    fn load<T: AnyBitPattern>(&self, offset: usize) -> Option<T> {
        Bytes::read(*self, offset)
    }
}
