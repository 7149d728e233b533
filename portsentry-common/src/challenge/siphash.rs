//! SipHash-1-3 (Aumasson and Bernstein, 2012) of whole words.

use bytemuck::{Pod, Zeroable};

/// A sixteen-byte key, with the part of the first round that doesn't depend on the message computed in advance.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Key {
    state: [u64; 4],
}

impl Key {
    /// Prepares a key of sixteen bytes, both words little-endian.
    #[must_use]
    pub const fn new([low, high]: [u64; 2]) -> Self {
        let [a, b, c, d] = [
            low ^ 0x736f_6d65_7073_6575,
            high ^ 0x646f_7261_6e64_6f6d,
            low ^ 0x6c79_6765_6e65_7261,
            high ^ 0x7465_6462_7974_6573,
        ];
        let [a, b] = SipHash::mix([a, b]);
        Self { state: [a, b, c, d] }
    }

    /// Starts a hash with its first eight bytes, little-endian.
    #[inline(always)]
    #[must_use]
    pub const fn begin(&self, word: u64) -> SipHash {
        let [a, b, c, d] = self.state;
        let [a, b, c, d] = SipHash::finish_round([a, b, c, d ^ word]);
        SipHash { state: [a ^ word, b, c, d] }
    }
}

/// A hash in progress.
#[derive(Clone, Copy, Debug)]
pub struct SipHash {
    state: [u64; 4],
}

impl SipHash {
    /// Absorbs eight bytes, little-endian.
    #[inline(always)]
    #[must_use]
    pub const fn absorb(self, word: u64) -> Self {
        let [a, b, c, d] = self.state;
        let [a, b, c, d] = Self::round([a, b, c, d ^ word]);
        Self { state: [a ^ word, b, c, d] }
    }

    /// Returns the hash of the `words` absorbed and the lower seven bytes of `tail`, little-endian. The last block
    /// holds these bytes and the length.
    #[inline(always)]
    #[must_use]
    pub const fn finish(self, words: u64, tail: u64) -> u64 {
        let end = (8 * words + 7) << 56 | tail << 8 >> 8;
        let [a, b, c, d] = self.absorb(end).state;
        let [a, b, c, d] = Self::round(Self::round(Self::round([a, b, c ^ 0xff, d])));
        a ^ b ^ c ^ d
    }

    #[inline(always)]
    const fn round([a, b, c, d]: [u64; 4]) -> [u64; 4] {
        let [a, b] = Self::mix([a, b]);
        Self::finish_round([a, b, c, d])
    }

    /// The part of a round that mixes the first two words.
    #[inline(always)]
    const fn mix([a, b]: [u64; 2]) -> [u64; 2] {
        let sum = a.wrapping_add(b);
        [sum.rotate_left(32), b.rotate_left(13) ^ sum]
    }

    /// The rest of a round.
    #[inline(always)]
    const fn finish_round([mut a, mut b, mut c, mut d]: [u64; 4]) -> [u64; 4] {
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        [a, b, c, d]
    }
}

#[cfg(test)]
mod tests {
    use std::{hash::Hasher, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The standard library's hasher is SipHash-1-3 with a key of zeroes.
        #[test]
        fn the_hash_is_the_standard_librarys(first: u64, words: Vec<u64>, tail: u64) {
            let mut theirs = std::hash::DefaultHasher::new();
            theirs.write(&first.to_le_bytes());
            let mut ours = Key::new([0, 0]).begin(first);
            let count = 1 + words.len() as u64;
            for word in words {
                theirs.write(&word.to_le_bytes());
                ours = ours.absorb(word);
            }
            theirs.write(&tail.to_le_bytes()[..7]);
            prop_assert_eq!(ours.finish(count, tail), theirs.finish());
        }
    }
}
