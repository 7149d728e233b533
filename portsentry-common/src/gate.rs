//! The gate before the blocked maps: one bit says that nobody near a source is blocked.
//!
//! A set bit means "look it up", a clear one "nobody here". It may err towards a look-up only: whoever enters
//! a block sets the bit, and clearing needs a rebuild that no writer can race (see the daemon's `kernel` room).
//! For that a gate has two generations of bits. All writers set both, and programs read one.

use bytemuck::AnyBitPattern;

use crate::address::{Ipv4, Ipv6};

/// Bits of a generation: one for each IPv4 /24, and as many for hashes of the IPv6 /48.
pub const BITS: u32 = 1 << 24;
/// A generation's length in 64-bit words: 2 MiB.
pub const WORDS: usize = BITS as usize / 64;
/// Words of a gate before its bits. The first says which generation programs read, by how many bytes its words lie behind
/// the first one's: 0 or 8.
pub const HEAD: usize = 32;
/// The word of a gate's head that isn't 0 if a network is blocked, so that nobody looks for one where there are none.
pub const NETWORKS: usize = 1;
/// A gate's length in 64-bit words: the words of both generations in turns, with room for whatever the lowest byte of
/// the first says, which spares programs a check.
pub const LENGTH: usize = HEAD + 2 * WORDS + 32;

/// An address's bit in its family's gate.
pub trait Gated {
    /// What of the address decides on the bit; its octets lie in memory as the address's do.
    type Prefix: AnyBitPattern;

    /// Number of the bit, below [`BITS`], of an address that begins with `prefix`.
    fn bit_of(prefix: Self::Prefix) -> u32;

    /// Number of the address's bit, below [`BITS`].
    fn bit(self) -> u32;
}

impl Gated for Ipv4 {
    type Prefix = u32;

    /// The three octets as they lie in memory, which spares swapping them.
    #[inline(always)]
    fn bit_of(prefix: u32) -> u32 {
        u32::from_le(prefix) & 0x00ff_ffff
    }

    #[inline(always)]
    fn bit(self) -> u32 {
        Self::bit_of(bytemuck::cast(self))
    }
}

impl Gated for Ipv6 {
    type Prefix = u64;

    /// By multiplicative hashing (Knuth, TAOCP 6.4) of the /48.
    #[inline(always)]
    fn bit_of(prefix: u64) -> u32 {
        // The first six octets are the lower ones of a little-endian number.
        let network = u64::from_le(prefix) << 16;
        (network.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u32
    }

    #[inline(always)]
    fn bit(self) -> u32 {
        Self::bit_of(self.halves()[0])
    }
}

/// The word that holds `bit` in the first generation, by its place in a gate, and the bit's mask in it. In the second it
/// is the word after that.
#[inline(always)]
#[must_use]
pub const fn place(bit: u32) -> (usize, u64) {
    (HEAD + bit as usize / 64 % WORDS * 2, 1 << (bit % 64))
}

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
        fn an_ipv6_network_of_48_bits_shares_a_bit(address: u128, rest: u128) {
            let one = Ipv6::from(Ipv6Addr::from(address));
            let other = Ipv6::from(Ipv6Addr::from(address & !(u128::MAX >> 48) | rest & u128::MAX >> 48));
            prop_assert_eq!(one.bit(), other.bit());
            prop_assert!(one.bit() < BITS);
        }
    }
}
