//! What was explained a moment ago, by destination and port, so that honest traffic costs one look-up a second.
//!
//! It must not hold what anybody relies on: it is lost with the program, and any entry may be replaced.

use core::cell::UnsafeCell;

/// In the program's own data, which is read without a look-up.
#[unsafe(no_mangle)]
pub static EXPLAINED: Explained = Explained(UnsafeCell::new([0; PLACES]));

const PLACES: usize = 1 << 17;
/// How long an entry holds, in jiffies: a second on most kernels, a quarter of one on some.
const MOMENT: u32 = 250;

/// A word for each place: the tag in its upper half, when it was entered in its lower.
#[repr(transparent)]
pub struct Explained(UnsafeCell<[u64; PLACES]>);

// SAFETY: its words are aligned, and read and written whole; a race loses one of two true entries.
unsafe impl Sync for Explained {}

impl Explained {
    /// Whether `hash` was entered a moment before `jiffies`.
    #[inline(always)]
    pub fn holds(&self, hash: u64, jiffies: u64) -> bool {
        // SAFETY: `at` is in the table.
        let word = unsafe { self.at(hash).read_volatile() };
        (word >> 32) as u32 == tag(hash) && (jiffies as u32).wrapping_sub(word as u32) < MOMENT
    }

    /// Enters `hash` at `jiffies`.
    #[inline(always)]
    pub fn enter(&self, hash: u64, jiffies: u64) {
        let word = u64::from(tag(hash)) << 32 | u64::from(jiffies as u32);
        // SAFETY: as above.
        unsafe { self.at(hash).write_volatile(word) };
    }

    /// The place of a hash, by its upper 17 bits.
    #[inline(always)]
    fn at(&self, hash: u64) -> *mut u64 {
        let place = (hash >> 47) as usize;
        // SAFETY: it is a place of the table.
        unsafe { self.0.get().cast::<u64>().add(place % PLACES) }
    }
}

/// The next 32 bits of a hash, which tell apart those who share a place.
#[inline(always)]
fn tag(hash: u64) -> u32 {
    (hash >> 15) as u32
}
