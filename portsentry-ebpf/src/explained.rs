//! What was explained a moment ago, by destination and port, so that honest traffic costs one look-up a second.
//!
//! It must not hold what anybody relies on: it is lost with the program, and any entry may be replaced.

use core::cell::UnsafeCell;

const PLACES: usize = 1 << 17;

/// In the program's own data, which is read without a look-up.
#[unsafe(no_mangle)]
pub static EXPLAINED: Table = Table(UnsafeCell::new([0; PLACES]));

/// A word for each place: the tag in its upper half, when it was written in its lower.
#[repr(transparent)]
pub struct Table(UnsafeCell<[u64; PLACES]>);

// SAFETY: its words are aligned, and read and written whole; a race loses one of two true entries.
unsafe impl Sync for Table {}

impl Table {
    #[inline(always)]
    pub fn read(&self, place: usize) -> u64 {
        // SAFETY: `at` is in the table.
        unsafe { self.at(place).read_volatile() }
    }

    #[inline(always)]
    pub fn write(&self, place: usize, word: u64) {
        // SAFETY: as above.
        unsafe { self.at(place).write_volatile(word) };
    }

    #[inline(always)]
    fn at(&self, place: usize) -> *mut u64 {
        // SAFETY: the remainder is a place of the table.
        unsafe { self.0.get().cast::<u64>().add(place % PLACES) }
    }
}

/// The place of a hash's upper 17 bits, and the next 32, which tell apart those who share it.
#[inline(always)]
pub fn place(hash: u64) -> (usize, u32) {
    ((hash >> 47) as usize, (hash >> 15) as u32)
}
