//! Progress through layers of any depth, in one word, so that it can be passed between functions that are verified
//! separately.

use super::{Fragment, link::VLAN_ID};

/// Highest offset in a frame up to which a chain is followed, in bytes. Used as a mask, it is a bound known to the
/// verifier.
pub(super) const FARTHEST: usize = 0x7fff;

/// Progress along a chain, packed into one word so that functions can pass it. From the lowest bit: the offset of
/// the next header, its number, a [`Fragment`], and two flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain(pub(super) u64);

impl Chain {
    pub(super) const NUMBER: u32 = 32;
    pub(super) const PART: u32 = 40;
    pub(super) const OPTIONS: u64 = 1 << 42;
    pub(super) const DONE: u64 = 1 << 43;

    /// Starts a chain at `offset` bytes with a header of this number.
    #[inline(always)]
    #[must_use]
    pub(super) const fn new(number: u8, offset: usize) -> Self {
        Self((offset as u64 & 0xffff_ffff) | (number as u64) << Self::NUMBER)
    }

    /// Returns the chain as a word.
    #[inline(always)]
    #[must_use]
    pub const fn to_word(self) -> u64 {
        self.0
    }

    /// Restores the chain from its word.
    #[inline(always)]
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// Returns the offset of the next header in the frame, in bytes.
    #[inline(always)]
    pub(super) const fn offset(self) -> usize {
        self.0 as usize & FARTHEST
    }

    /// Returns the number of the next header. If this is an extension header's number, the end of the chain can't
    /// be read.
    #[inline(always)]
    pub(super) const fn protocol(self) -> u8 {
        (self.0 >> Self::NUMBER) as u8
    }

    /// Returns the part of a datagram in this packet, according to its fragment headers.
    #[inline(always)]
    pub(super) const fn fragment(self) -> Fragment {
        match self.0 >> Self::PART & 0b11 {
            0 => Fragment::Whole,
            1 => Fragment::First,
            _ => Fragment::Later,
        }
    }

    /// Whether there are headers other than fragment headers.
    #[inline(always)]
    pub(super) const fn has_options(self) -> bool {
        self.0 & Self::OPTIONS != 0
    }
}

/// Progress through a link layer, packed into one word. From the lowest bit: the offset of the next header, its
/// `EtherType` in wire order, a VLAN's identifier, and a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deep(pub(super) u64);

impl Deep {
    pub(super) const TYPE: u32 = 32;
    pub(super) const VLAN: u32 = 48;
    pub(super) const DONE: u64 = 1 << 63;

    pub(super) const fn new(offset: usize, ethertype: u16, vlan: u16) -> Self {
        Self((offset as u64 & 0xffff_ffff) | (ethertype as u64) << Self::TYPE | (vlan as u64) << Self::VLAN)
    }

    /// Returns the word.
    #[inline(always)]
    #[must_use]
    pub const fn to_word(self) -> u64 {
        self.0
    }

    /// Restores the progress from its word.
    #[inline(always)]
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    pub(super) const fn offset(self) -> usize {
        (self.0 & 0xffff_ffff) as usize
    }

    pub(super) const fn ethertype(self) -> u16 {
        (self.0 >> Self::TYPE) as u16
    }

    pub(super) const fn vlan(self) -> u16 {
        (self.0 >> Self::VLAN) as u16 & VLAN_ID
    }
}
