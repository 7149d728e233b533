//! The benign-flow cache: destinations and ports whose packets were found benign a moment ago, so that honest traffic
//! costs one look-up a second.

use core::cell::UnsafeCell;

use crate::atomic;

/// In the program's own data, which can be read without a look-up. Each protocol has its own table, so that entries
/// need not name it.
#[unsafe(no_mangle)]
pub static BENIGN_TCP_V4: BenignFlows<1> = BenignFlows::EMPTY;
#[unsafe(no_mangle)]
pub static BENIGN_TCP_V6: BenignFlows<2> = BenignFlows::EMPTY;
#[unsafe(no_mangle)]
pub static BENIGN_UDP_V4: BenignFlows<1> = BenignFlows::EMPTY;
#[unsafe(no_mangle)]
pub static BENIGN_UDP_V6: BenignFlows<2> = BenignFlows::EMPTY;

/// One slot for each sum of two 16-bit numbers.
const PLACES: usize = 1 << 17;

/// Returns the slot for a port (network byte order) and an address with this ending. The slot is their sum, so that
/// hosts with the same services don't share a slot. The entry holds the whole address, and so need not hold the
/// port. Every verifier can bound a sum; Linux 6.1's can't bound an exclusive or.
#[inline(always)]
pub fn place(ending: u16, port: usize) -> usize {
    usize::from(ending) + port
}

/// A table of entries of `WORDS` words.
#[repr(transparent)]
pub struct BenignFlows<const WORDS: usize>(UnsafeCell<[[u64; WORDS]; PLACES]>);

/// Value of an entry's last word while the other words are being written. No sender can construct an entry with
/// this value, because an entry is an address combined with a random number.
const BUSY: u64 = 1;

// SAFETY: the words are aligned, and read and written whole. An entry has only one writer at a time. A concurrent
// reader may see a word of the old entry and one of the new.
unsafe impl<const WORDS: usize> Sync for BenignFlows<WORDS> {}

impl<const WORDS: usize> BenignFlows<WORDS> {
    const EMPTY: Self = Self(UnsafeCell::new([[0; WORDS]; PLACES]));

    /// Whether the slot at `place` holds `entry`.
    #[inline(always)]
    pub fn holds(&self, place: usize, entry: [u64; WORDS]) -> bool {
        let at = self.at(place);
        // SAFETY: words of the table.
        (0..WORDS).all(|word| unsafe { at.add(word).read_volatile() } == entry[word])
    }

    /// Stores `entry` at `place`, unless another CPU is writing there, because a mixture of two entries must not
    /// remain.
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
        // SAFETY: the index is below the number of slots.
        unsafe { self.0.get().cast::<u64>().byte_add(place % PLACES * (WORDS * 8)) }
    }
}
