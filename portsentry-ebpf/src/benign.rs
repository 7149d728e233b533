//! What was explained a moment ago, by destination and port, so that honest traffic costs one look-up a second.

use core::cell::UnsafeCell;

use crate::atomic;

/// In the program's own data, which is read without a look-up. Each protocol has a table, so that none needs to stand
/// in it.
#[unsafe(no_mangle)]
pub static BENIGN_TCP_V4: BenignFlows<1> = BenignFlows::EMPTY;
#[unsafe(no_mangle)]
pub static BENIGN_TCP_V6: BenignFlows<2> = BenignFlows::EMPTY;
#[unsafe(no_mangle)]
pub static BENIGN_UDP_V4: BenignFlows<1> = BenignFlows::EMPTY;
#[unsafe(no_mangle)]
pub static BENIGN_UDP_V6: BenignFlows<2> = BenignFlows::EMPTY;

/// One for each sum of two 16-bit numbers.
const PLACES: usize = 1 << 17;

/// Where an address that ends so stands with a port (network byte order). The sum, so that hosts with the same services don't
/// share a place; as the whole address is in the entry, that needs no port. Of a sum of numbers whose bounds a verifier
/// knows, every verifier knows them; of an exclusive or, Linux 6.1's does not.
#[inline(always)]
pub fn place(ending: u16, port: usize) -> usize {
    usize::from(ending) + port
}

/// A table of entries of so many words.
#[repr(transparent)]
pub struct BenignFlows<const WORDS: usize>(UnsafeCell<[[u64; WORDS]; PLACES]>);

/// What the last word of an entry says while its others are written. An entry's own is an address combined with a number at
/// random, which nobody can have be this one.
const BUSY: u64 = 1;

// SAFETY: its words are aligned, and read and written whole. One writer at a time has an entry; who reads it in just that
// nanosecond may see a word of each.
unsafe impl<const WORDS: usize> Sync for BenignFlows<WORDS> {}

impl<const WORDS: usize> BenignFlows<WORDS> {
    const EMPTY: Self = Self(UnsafeCell::new([[0; WORDS]; PLACES]));

    /// Whether `entry` stands at `place`.
    #[inline(always)]
    pub fn holds(&self, place: usize, entry: [u64; WORDS]) -> bool {
        let at = self.at(place);
        // SAFETY: words of the table.
        (0..WORDS).all(|word| unsafe { at.add(word).read_volatile() } == entry[word])
    }

    /// Puts `entry` at `place`, unless another CPU is about to: of two entries in part neither must be left.
    #[inline(always)]
    pub fn enter(&self, place: usize, entry: [u64; WORDS]) {
        let at = self.at(place);
        // SAFETY: the entry's last word.
        if WORDS > 1 && unsafe { atomic::swap(at.add(WORDS - 1), BUSY) } == BUSY {
            return;
        }
        for (word, value) in entry.into_iter().enumerate() {
            // SAFETY: a word of the table.
            unsafe { at.add(word).write_volatile(value) };
        }
    }

    #[inline(always)]
    fn at(&self, place: usize) -> *mut u64 {
        // SAFETY: there are as many places as there are numbers.
        unsafe { self.0.get().cast::<u64>().byte_add(place % PLACES * (WORDS * 8)) }
    }
}
