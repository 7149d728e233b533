//! A keyed digest of six words in a few multiplications: pair-multiply-shift (Thorup, High Speed Hashing for Integers
//! and Strings, arXiv:1504.06804).

use bytemuck::{Pod, Zeroable};

/// A random key. Two different inputs have the same digest under at most one of 2^31 keys.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Digest {
    addends: [u64; 6],
}

impl Digest {
    /// Creates the digest with these addends.
    #[must_use]
    pub const fn new(addends: [u64; 6]) -> Self {
        Self { addends }
    }

    /// Returns the digest of these words.
    #[inline(always)]
    #[must_use]
    pub const fn of(&self, [first, second, third]: [[u32; 2]; 3]) -> u32 {
        let [a, b, rest @ ..] = self.addends;
        let [c, d, rest @ ..] = rest;
        let products = [product(first, [a, b]), product(second, [c, d]), product(third, rest)];
        let sum = products[0].wrapping_add(products[1]).wrapping_add(products[2]);
        (sum >> 32) as u32
    }
}

#[inline(always)]
const fn product([x, y]: [u32; 2], [a, b]: [u64; 2]) -> u64 {
    (x as u64).wrapping_add(a).wrapping_mul((y as u64).wrapping_add(b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The formula of the paper, computed with more bits than needed.
        #[test]
        fn a_digest_is_the_upper_half_of_the_sum_of_products(words: [[u32; 2]; 3], addends: [u64; 6]) {
            let mut sum = 0_u128;
            for ([x, y], pair) in words.into_iter().zip(addends.chunks(2)) {
                let [left, right] = [(pair[0], x), (pair[1], y)].map(|(a, x)| (u128::from(a) + u128::from(x)) % (1 << 64));
                sum += left * right % (1 << 64);
            }
            prop_assert_eq!(u128::from(Digest::new(addends).of(words)), (sum % (1 << 64)) >> 32);
        }

        /// Covers changes of single bits in one or two words, including the top bits, which a plain product would
        /// lose.
        #[test]
        fn others_have_another(words: [[u32; 2]; 3], addends: [u64; 6], bits in prop::array::uniform2((0_usize..6, 0..32))) {
            let mut other = words;
            for (place, bit) in bits {
                other[place / 2][place % 2] ^= 1_u32 << bit;
            }
            let digest = Digest::new(addends);
            prop_assert_eq!(digest.of(words) == digest.of(other), words == other);
        }
    }
}
