//! What was explained a moment ago, by destination and port, so that honest traffic costs one look-up a second.
//!
//! It must not hold what anybody relies on: it is lost with the program, and any entry may be replaced.

use core::cell::UnsafeCell;

/// In the program's own data, which is read without a look-up. Each protocol has a table, so that none needs to stand
/// in it.
#[unsafe(no_mangle)]
pub static EXPLAINED_TCP: Explained = Explained::EMPTY;
#[unsafe(no_mangle)]
pub static EXPLAINED_UDP: Explained = Explained::EMPTY;

const PLACES: usize = 1 << 16;
/// How long an entry holds, in jiffies: a second on most kernels, a quarter of one on some.
const MOMENT: u64 = 250;

/// For each place which destination stands there, and the tick at which it was entered.
#[repr(transparent)]
pub struct Explained(UnsafeCell<[[u64; 2]; PLACES]>);

// SAFETY: its words are aligned, and read and written whole; a race gives an entry another's time, which is as recent.
unsafe impl Sync for Explained {}

impl Explained {
    const EMPTY: Self = Self(UnsafeCell::new([[0; 2]; PLACES]));

    /// Whether `destination` was entered a moment before `jiffies`.
    #[inline(always)]
    pub fn holds(&self, destination: u64, jiffies: u64) -> bool {
        let at = self.at(destination);
        // SAFETY: both are words of the table.
        unsafe {
            at.read_volatile() == destination && jiffies.wrapping_sub(at.add(1).read_volatile()) < MOMENT
        }
    }

    /// Enters `destination` at `jiffies`.
    #[inline(always)]
    pub fn enter(&self, destination: u64, jiffies: u64) {
        let at = self.at(destination);
        // SAFETY: as above.
        unsafe {
            at.write_volatile(destination);
            at.add(1).write_volatile(jiffies);
        }
    }

    /// The place of a destination, by multiplicative hashing (Knuth, TAOCP 6.4).
    #[inline(always)]
    fn at(&self, destination: u64) -> *mut u64 {
        let place = (destination.wrapping_mul(ODD) >> 48) as usize;
        // SAFETY: it is a place of the table.
        unsafe { self.0.get().cast::<u64>().add(2 * (place % PLACES)) }
    }
}

/// 2^64 divided by the golden ratio, which spreads well.
pub const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
