//! A chain of IPv6 extension headers, RFC 8200 section 4.
//!
//! Linux follows a chain of any length. The kernel's verifier takes a function with a bounded loop only, and all of
//! its steps count: so the chain is followed by a few headers at a time, in a function that is verified by itself.

use super::{
    Fragment,
    ipv6::{AUTHENTICATION, FRAGMENT, is_extension},
};
use crate::frame::Frame;

/// Headers that are followed in one function.
const STEPS: usize = 64;
/// Times that this function is called.
const ROUNDS: usize = 18;

/// How many extension headers are followed: more than fit in a packet of 9,000 bytes.
pub const MAX_EXTENSIONS: usize = STEPS * ROUNDS;

/// How far into a frame a chain is followed, in bytes. A mask, by which the verifier knows it for a bound.
const FARTHEST: usize = 0x7fff;

/// How far a chain has been followed, in one word, so that it can cross functions. From the lowest bit: the offset of
/// the next header, its number, a [`Fragment`], and two flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain(u64);

impl Chain {
    const NUMBER: u32 = 32;
    const PART: u32 = 40;
    const OPTIONS: u64 = 1 << 42;
    const DONE: u64 = 1 << 43;

    /// The chain that begins at `offset` bytes with a header of that number.
    #[inline(always)]
    #[must_use]
    pub(super) const fn new(number: u8, offset: usize) -> Self {
        Self((offset as u64 & 0xffff_ffff) | (number as u64) << Self::NUMBER)
    }

    /// The chain as its word.
    #[inline(always)]
    #[must_use]
    pub const fn to_word(self) -> u64 {
        self.0
    }

    /// The chain of a word.
    #[inline(always)]
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// Offset of the next header in the frame, in bytes.
    #[inline(always)]
    pub(super) const fn offset(self) -> usize {
        self.0 as usize & FARTHEST
    }

    /// Number of the next header. If that is an extension header's, the chain can't be read to its end.
    #[inline(always)]
    pub(super) const fn protocol(self) -> u8 {
        (self.0 >> Self::NUMBER) as u8
    }

    /// Which part of a datagram the fragment headers say this is.
    #[inline(always)]
    pub(super) const fn fragment(self) -> Fragment {
        match self.0 >> Self::PART & 0b11 {
            0 => Fragment::Whole,
            1 => Fragment::First,
            _ => Fragment::Later,
        }
    }

    /// Whether there were headers other than fragment headers.
    #[inline(always)]
    pub(super) const fn has_options(self) -> bool {
        self.0 & Self::OPTIONS != 0
    }

    /// Follows the chain to the transport header, to where a later fragment's ends, or as far as it can be read.
    #[inline(always)]
    #[must_use]
    pub fn follow<F: Frame + ?Sized>(mut self, frame: &F, end: usize) -> Self {
        for _ in 0..ROUNDS {
            self = frame.next_headers(self, end);
            if self.0 & Self::DONE != 0 {
                break;
            }
        }
        self
    }

    /// Follows it by so many headers at most.
    #[inline(always)]
    #[must_use]
    pub fn next<F: Frame + ?Sized>(mut self, frame: &F, end: usize) -> Self {
        for _ in 0..STEPS {
            if self.protocol() != FRAGMENT {
                self.0 |= Self::OPTIONS;
            }
            self = match self.step(frame, end) {
                Some(next) => next,
                None => return Self(self.0 | Self::DONE),
            };
            if self.0 & Self::DONE != 0 {
                break;
            }
        }
        self
    }

    /// Passes one header; `None` if that runs past the packet, which ends at `end`.
    #[inline(always)]
    fn step<F: Frame + ?Sized>(self, frame: &F, end: usize) -> Option<Self> {
        let [next, length, high, low] = frame.load::<[u8; 4]>(self.offset())?;
        let number = self.protocol();
        let mut flags = self.0 & (0b11 << Self::PART | Self::OPTIONS);
        let length = match number {
            FRAGMENT => {
                let position = u16::from_be_bytes([high, low]);
                // A second header makes no whole of a part.
                match (position >> 3, position & 1) {
                    (0, 0) => {}
                    (0, _) => flags = flags & Self::OPTIONS | 1 << Self::PART,
                    _ => flags = flags & Self::OPTIONS | 0b10 << Self::PART,
                }
                8
            }
            // RFC 4302 section 2.2: in words of four octets, less two.
            AUTHENTICATION => (usize::from(length) + 2) * 4,
            _ => (usize::from(length) + 1) * 8,
        };
        let offset = self.offset() + length;
        if offset > end || offset > FARTHEST {
            return None;
        }
        let is_later = flags >> Self::PART & 0b10 != 0;
        if is_later || !is_extension(next) {
            flags |= Self::DONE;
        }
        Some(Self(Self::new(next, offset).0 | flags))
    }
}
