//! The benign-flow cache: destinations and ports whose packets were found benign a moment ago, so that honest traffic
//! costs one look-up a second.

use core::cell::UnsafeCell;

use crate::atomic;

/// In the program's own data, which is read without a look-up. With a table per protocol, an entry need not name its
/// protocol.
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

/// Returns the slot of an address with this ending and a port (network byte order). It is the sum, so that hosts with
/// the same services don't share a slot; the entry holds the whole address, so that it need not hold the port. Every
/// verifier knows the bounds of a sum; Linux 6.1's doesn't know those of an exclusive or.
#[inline(always)]
pub fn place(ending: u16, port: usize) -> usize {
    usize::from(ending) + port
}

/// A table of entries of `WORDS` words.
#[repr(transparent)]
pub struct BenignFlows<const WORDS: usize>(UnsafeCell<[[u64; WORDS]; PLACES]>);

/// Last word of an entry while its other words are being written. A valid entry can't have this value on purpose: it
/// is an address combined with a random number.
const BUSY: u64 = 1;

// SAFETY: its words are aligned, and read and written whole. One writer at a time has an entry; a concurrent reader
// may see a word of the old and one of the new entry.
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

    /// Stores `entry` at `place`, unless another CPU is writing there: a mixture of two entries must not remain.
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
