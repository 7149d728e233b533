//! Tables of words in the program's own data, by hashes.

use core::cell::UnsafeCell;

use portsentry_common::scan::hearing::place;

/// A table with a power of two of places.
#[repr(transparent)]
pub struct Table<T, const PLACES: usize>(UnsafeCell<[T; PLACES]>);

// SAFETY: the words are aligned, and read and written whole.
unsafe impl<T, const PLACES: usize> Sync for Table<T, PLACES> {}

impl<T, const PLACES: usize> Table<T, PLACES> {
    /// Returns a table of `word` in all places.
    pub const fn of(word: T) -> Self
    where
        T: Copy,
    {
        Self(UnsafeCell::new([word; PLACES]))
    }

    /// Returns the place of a hash.
    #[inline(always)]
    pub fn at(&self, hash: u64) -> *mut T {
        // SAFETY: the index is below the number of places.
        unsafe { self.0.get().cast::<T>().byte_add(place(hash, PLACES) * size_of::<T>()) }
    }
}
