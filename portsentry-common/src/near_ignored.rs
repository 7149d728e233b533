//! The bitmaps before the maps of ignored networks: a clear bit shows that no ignored network is near an address, so that
//! a flood of probes needs no look-up for each.
//!
//! An error may only cause an unneeded look-up: the daemon sets a network's bits before it enters the network, and clears
//! them after it has removed it.

use crate::address::{Ipv4, Ipv6};

/// Number of 64-bit words in a bitmap: one bit per IPv4 /16, and the same number for hashes of IPv6 /32s.
pub const WORDS: usize = 65_536 / 64;

/// An address's bit in its family's bitmap.
pub trait NearIgnored {
    /// Length of the networks that share a bit.
    const LENGTH: u8;

    /// Returns the number of the address's bit.
    fn near_ignored(self) -> u16;
}

impl NearIgnored for Ipv4 {
    const LENGTH: u8 = 16;

    #[inline(always)]
    fn near_ignored(self) -> u16 {
        (self.number() >> 16) as u16
    }
}

impl NearIgnored for Ipv6 {
    const LENGTH: u8 = 32;

    /// Multiplicative hashing, as in [`crate::gate`].
    #[inline(always)]
    fn near_ignored(self) -> u16 {
        let [start, ..] = self.words();
        (u32::from_le(start).wrapping_mul(0x9e37_79b9) >> 16) as u16
    }
}
