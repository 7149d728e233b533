//! The gate before the blocked maps: one bit says that nobody near a source is blocked.
//!
//! A set bit means "look it up", a clear one "nobody here". It may err towards a look-up only: whoever enters
//! a block sets the bit, and clearing needs a renewal that no writer can race (see the daemon's `kernel` room).
//! For that each bit has two copies in one word. All writers set both at once, and programs take either for it.

use bytemuck::AnyBitPattern;

use crate::address::{Ipv4, Ipv6};

/// Bits of a gate: one for each IPv4 /24, and as many for hashes of the IPv6 /48.
pub const BITS: u32 = 1 << 24;
/// How many 32-bit words hold them, with both copies: 4 MiB.
pub const WORDS: usize = BITS as usize / 16;
/// A word's first copies. The second ones follow in the same order.
pub const FIRST_COPIES: u32 = 0xffff;
/// Length of a gate's head, which comes before its bits, in 64-bit words: a cache line.
pub const HEAD: usize = 8;
/// The word of a gate's head that isn't 0 if a network is blocked, so that nobody looks for one where there are none.
pub const NETWORKS: usize = 0;
/// The word of a gate's head that stands for the moment whose explanations count, or 0 for none's: programs have it
/// follow the clock, and the daemon clears it with every sign of life, so that it doesn't stand still where all packets are
/// explained.
pub const MOMENT: usize = 1;
/// The word of a gate's head that says which moment that is, where [`MOMENT`] is a number at random.
pub const EPOCH: usize = 2;
/// The word of a gate's head that isn't 0 if a source may be held alone that others of its network would be held with: see
/// [`crate::block::Block::prefix`].
pub const ALONE: usize = 3;
/// A gate's length in 64-bit words.
pub const LENGTH: usize = HEAD + WORDS / 2;

/// An address's bit in its family's gate.
pub trait Gated {
    /// What of a packet decides on the bit, as one load gives it.
    type Prefix: AnyBitPattern;
    /// Where a [`Gated::Prefix`] begins, in octets behind the address's first.
    const PREFIX: isize;

    /// Number of the bit, below [`BITS`], of the address whose beginning lies in `prefix`.
    fn bit_of(prefix: Self::Prefix) -> u32;

    /// Number of the address's bit, below [`BITS`].
    fn bit(self) -> u32;
}

impl Gated for Ipv4 {
    type Prefix = u32;
    /// Three octets at the upper end of a little-endian number, where a shift cuts them out.
    const PREFIX: isize = -1;

    /// The three octets as they lie in memory, which spares swapping them.
    #[inline(always)]
    fn bit_of(prefix: u32) -> u32 {
        u32::from_le(prefix) >> 8
    }

    #[inline(always)]
    fn bit(self) -> u32 {
        let address: u32 = bytemuck::cast(self);
        u32::from_le(address) & 0x00ff_ffff
    }
}

impl Gated for Ipv6 {
    type Prefix = u32;
    const PREFIX: isize = 2;

    /// By multiplicative hashing (Knuth, TAOCP 6.4) of the /48's last four octets: the first two differ little, and so the
    /// factor takes no instruction of its own.
    #[inline(always)]
    fn bit_of(prefix: u32) -> u32 {
        u32::from_le(prefix).wrapping_mul(0x9e37_79b9) >> 8
    }

    #[inline(always)]
    fn bit(self) -> u32 {
        // Cut out of words: were octets taken, the compiler would handle the address by octets wherever it goes.
        let [start, rest, ..] = self.words().map(u32::from_le);
        Self::bit_of((start >> 16 | rest << 16).to_le())
    }
}

/// The 32-bit word of a gate's that a bit stands in, counted from the end of its head.
///
/// The upper bits of its number count within the word: IPv4 networks of a /16 lie together.
#[inline(always)]
#[must_use]
pub const fn word_of(bit: u32) -> usize {
    bit as usize % WORDS
}

/// The word with both copies of that bit alone.
#[inline(always)]
#[must_use]
pub const fn mask_of(bit: u32) -> u32 {
    BOTH << (bit >> WORDS.ilog2())
}

/// Whether `word`, the one at [`word_of`] that bit, has a copy of it.
#[inline(always)]
#[must_use]
pub const fn is_set(word: u32, bit: u32) -> bool {
    (word >> (bit >> WORDS.ilog2())) & BOTH != 0
}

const BOTH: u32 = 1 | 1 << FIRST_COPIES.count_ones();

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_ipv4_network_of_24_bits_shares_a_bit(address: u32, host: u8) {
            let one = Ipv4::from(Ipv4Addr::from(address));
            let other = Ipv4::from(Ipv4Addr::from(address & !0xff | u32::from(host)));
            prop_assert_eq!(one.bit(), other.bit());
            prop_assert_eq!(one.bit().swap_bytes() >> 8, address >> 8);
        }

        #[test]
        fn a_packet_has_its_source_s_bit(address: u32, before: u8) {
            let [a, b, c, _] = address.to_be_bytes();
            let bit = Ipv4::from(Ipv4Addr::from(address)).bit();
            prop_assert_eq!(Ipv4::bit_of(u32::from_ne_bytes([before, a, b, c])), bit);
        }

        #[test]
        fn a_packet_has_its_ipv6_source_s_bit(address: u128) {
            let [_, _, c, d, e, f, ..] = address.to_be_bytes();
            let bit = Ipv6::from(Ipv6Addr::from(address)).bit();
            prop_assert_eq!(Ipv6::bit_of(u32::from_ne_bytes([c, d, e, f])), bit);
        }

        #[test]
        fn every_bit_has_a_place_of_its_own(one in 0..BITS, other in 0..BITS) {
            prop_assert!(word_of(one) < WORDS && mask_of(one).count_ones() == 2);
            prop_assert_eq!((word_of(one), mask_of(one)) == (word_of(other), mask_of(other)), one == other);
        }

        #[test]
        fn either_copy_of_a_bit_sets_it(bit in 0..BITS, word: u32) {
            let (first, second) = (mask_of(bit) & FIRST_COPIES, mask_of(bit) & !FIRST_COPIES);
            prop_assert!(is_set(word | first, bit) && is_set(word | second, bit));
            prop_assert!(!is_set(word & !mask_of(bit), bit));
        }

        #[test]
        fn an_ipv6_network_of_48_bits_shares_a_bit(address: u128, rest: u128) {
            let one = Ipv6::from(Ipv6Addr::from(address));
            let other = Ipv6::from(Ipv6Addr::from(address & !(u128::MAX >> 48) | rest & u128::MAX >> 48));
            prop_assert_eq!(one.bit(), other.bit());
            prop_assert!(one.bit() < BITS);
        }
    }
}
