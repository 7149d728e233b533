//! Changes of all words of a gate, for userspace. They are here because a gate has two million words, and this crate is
//! optimised even where the daemon isn't.

use core::sync::atomic::{AtomicU32, Ordering};

use super::FIRST_COPIES;

/// Sets the second copy of every bit.
#[inline(never)]
pub fn set_second_copies(words: &[AtomicU32]) {
    change(words, |word| word | !FIRST_COPIES);
}

/// Clears the first copy of every bit.
#[inline(never)]
pub fn clear_first_copies(words: &[AtomicU32]) {
    change(words, |word| word & !FIRST_COPIES);
}

/// Sets the second copy of every bit to the first.
#[inline(never)]
pub fn copy_first_to_second(words: &[AtomicU32]) {
    change(words, |word| (word & FIRST_COPIES) | (word & FIRST_COPIES) << FIRST_COPIES.count_ones());
}

/// Returns the number of bits with either copy set.
#[inline(never)]
#[must_use]
pub fn count(words: &[AtomicU32]) -> usize {
    let words = words.iter().map(|word| word.load(Ordering::Relaxed));
    words.map(|word| ((word | word >> FIRST_COPIES.count_ones()) & FIRST_COPIES).count_ones() as usize).sum()
}

/// Replaces every word by the result of `change`, atomically. Most words don't change, and are only read.
#[inline(always)]
fn change(words: &[AtomicU32], change: impl Fn(u32) -> u32) {
    for word in words {
        let mut old = word.load(Ordering::Relaxed);
        while change(old) != old {
            match word.compare_exchange_weak(old, change(old), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => break,
                Err(new) => old = new,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn after(words: &[u32], change: fn(&[AtomicU32])) -> Vec<u32> {
        let words: Vec<_> = words.iter().map(|word| AtomicU32::new(*word)).collect();
        change(&words);
        words.into_iter().map(AtomicU32::into_inner).collect()
    }

    proptest! {
        #[test]
        fn each_change_concerns_one_copy_of_all_bits(words in vec(any::<u32>(), 0..9)) {
            let first = |word: u32| word & 0xffff;
            let second = |word: u32| word >> 16;
            for (old, new) in words.iter().zip(after(&words, set_second_copies)) {
                prop_assert_eq!((first(new), second(new)), (first(*old), 0xffff));
            }
            for (old, new) in words.iter().zip(after(&words, clear_first_copies)) {
                prop_assert_eq!((first(new), second(new)), (0, second(*old)));
            }
            for (old, new) in words.iter().zip(after(&words, copy_first_to_second)) {
                prop_assert_eq!((first(new), second(new)), (first(*old), first(*old)));
            }
        }

        #[test]
        fn a_bit_counts_once_whichever_copy_is_set(words in vec(any::<u32>(), 0..9)) {
            let atomics: Vec<_> = words.iter().map(|word| AtomicU32::new(*word)).collect();
            let bits = words.iter().flat_map(|word| (0..16).map(move |bit| word >> bit & 0x1_0001 != 0));
            prop_assert_eq!(count(&atomics), bits.filter(|is_set| *is_set).count());
        }
    }
}
