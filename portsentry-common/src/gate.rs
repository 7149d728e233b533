//! The gate before the maps of blocked and of fenced sources: a bit for each map shows that it holds no source near an
//! address.
//!
//! A set bit means "look it up", a clear bit "not in that map". An error may only cause an unneeded look-up. Every
//! writer of a block or fence sets the bit. Only a renewal clears bits, and no writer can race with it (see the
//! daemon's `kernel` room): each bit has two copies in one word, writers set both at once, and programs accept either.

#[cfg(not(target_arch = "bpf"))]
pub mod renewal;

use bytemuck::AnyBitPattern;

use crate::address::{Ipv4, Ipv6};

/// Number of bits in a gate for each map: one per IPv4 /24, and the same number for hashes of IPv6 /48s.
pub const BITS: u32 = 1 << 24;
/// Number of 32-bit words that hold both copies of both maps' bits: 8 MiB.
pub const WORDS: usize = BITS as usize / 8;
/// The first copies in a word. The second copies follow in the same order.
pub const FIRST_COPIES: u32 = 0xffff;
/// Length of a gate's head, before its bits, in 64-bit words: a cache line.
pub const HEAD: usize = 8;
/// Index of the head's word that is non-zero if any network is blocked. Otherwise programs skip the look-up.
pub const NETWORKS: usize = 0;
/// Index of the head's word with the token of the moment whose cache entries are valid, or 0 for none. Programs
/// advance it with the clock. The daemon clears it with every heartbeat, so that it advances even if every packet
/// is known to be benign.
pub const MOMENT: usize = 1;
/// Index of the head's word with the moment's number, if [`MOMENT`] holds a random number.
pub const EPOCH: usize = 2;
/// Index of the head's word that is non-zero if a source that shares its network with others may be blocked or
/// fenced by itself: see [`crate::block::Block::prefix`].
pub const ALONE: usize = 3;
/// A gate's length in 64-bit words.
pub const LENGTH: usize = HEAD + WORDS / 2;

/// The maps of sources. The number is the position of the map's bits in a word.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The blocked sources and networks.
    Blocked = 0,
    /// The fenced sources.
    Fenced = 8,
}

/// The maps that may hold a source near an address: the bits of a gate's word at that address's place.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Near(pub u32);

impl Near {
    /// Both maps.
    pub const BOTH: Self = Self(EITHER);

    /// Whether neither map holds one.
    #[inline(always)]
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether this map may hold one.
    #[inline(always)]
    #[must_use]
    pub const fn is_in(self, held: Held) -> bool {
        self.0 & COPIES << held as u32 != 0
    }
}

/// An address's bit in its family's gate.
pub trait Gated {
    /// The part of a packet that determines the bit, in one load.
    type Prefix: AnyBitPattern;
    /// Offset of [`Gated::Prefix`] in octets from the start of the address.
    const PREFIX: isize;

    /// Returns the number of the bit, below [`BITS`], for addresses that begin with `prefix`.
    fn bit_of(prefix: Self::Prefix) -> u32;

    /// Returns the number of the address's bit, below [`BITS`].
    fn bit(self) -> u32;
}

impl Gated for Ipv4 {
    type Prefix = u32;
    /// Puts the three octets at the upper end of a little-endian number, from which a shift extracts them.
    const PREFIX: isize = -1;

    /// Uses the three octets in memory order, which saves a swap.
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

    /// Multiplicative hashing (Knuth, TAOCP 6.4) of the last four octets of the /48. The first two vary little, and
    /// without them the multiplier needs no separate instruction.
    #[inline(always)]
    fn bit_of(prefix: u32) -> u32 {
        u32::from_le(prefix).wrapping_mul(0x9e37_79b9) >> 8
    }

    #[inline(always)]
    fn bit(self) -> u32 {
        // Extracted from words: with octets the compiler would process the address octet by octet everywhere.
        let [start, rest, ..] = self.words().map(u32::from_le);
        Self::bit_of((start >> 16 | rest << 16).to_le())
    }
}

/// Returns the index of the 32-bit word that holds a bit, counted from the end of the head.
///
/// The upper bits of the number count within the word, so that the networks of an IPv4 /16 lie close together.
#[inline(always)]
#[must_use]
pub const fn word_of(bit: u32) -> usize {
    bit as usize % WORDS
}

/// Returns a word in which only both copies of this map's bit are set.
#[inline(always)]
#[must_use]
pub const fn mask_of(bit: u32, held: Held) -> u32 {
    (COPIES << held as u32) << place_of(bit)
}

/// Returns the maps whose bits are set in `word`, which is at [`word_of`] the bit.
#[inline(always)]
#[must_use]
pub const fn near(word: u32, bit: u32) -> Near {
    Near(word >> place_of(bit) & EITHER)
}

/// Returns the position of a bit among those of its map.
#[inline(always)]
const fn place_of(bit: u32) -> u32 {
    bit >> WORDS.ilog2()
}

/// Both copies of a word's first bit.
const COPIES: u32 = 1 | 1 << FIRST_COPIES.count_ones();
/// The same for both maps.
const EITHER: u32 = COPIES << Held::Blocked as u32 | COPIES << Held::Fenced as u32;

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn held() -> impl Strategy<Value = Held> {
        prop_oneof![Just(Held::Blocked), Just(Held::Fenced)]
    }

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
        fn every_bit_has_a_place_of_its_own(one in 0..BITS, other in 0..BITS, helds in (held(), held())) {
            let (one, other) = ((one, helds.0), (other, helds.1));
            prop_assert!(word_of(one.0) < WORDS && mask_of(one.0, one.1).count_ones() == 2);
            let place = |(bit, held)| (word_of(bit), mask_of(bit, held));
            prop_assert_eq!(place(one) == place(other), one == other);
        }

        #[test]
        fn either_copy_of_a_bit_sets_it(bit in 0..BITS, word: u32, held in held()) {
            let mask = mask_of(bit, held);
            for copy in [mask & FIRST_COPIES, mask & !FIRST_COPIES] {
                prop_assert!(near(word & !mask | copy, bit).is_in(held));
            }
            prop_assert!(!near(word & !mask, bit).is_in(held));
            let near = near(word, bit);
            prop_assert_eq!(near.is_none(), ![Held::Blocked, Held::Fenced].iter().any(|held| near.is_in(*held)));
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
