//! The gates before the blocked maps (see [`portsentry_common::gate`]), in memory that the daemon shares.
//!
//! It must not know who is blocked.

use core::cell::UnsafeCell;

use portsentry_common::gate::{LENGTH, NETWORKS, place};

use crate::atomic;

/// In sections of their own, which a program reads without a look-up. The daemon makes the maps that stand for them.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.gate_v4")]
pub static GATE_V4: Gate = Gate::CLEAR;
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.gate_v6")]
pub static GATE_V6: Gate = Gate::CLEAR;

/// Which generation counts, then words of bits.
#[repr(transparent)]
pub struct Gate(UnsafeCell<[u64; LENGTH]>);

// SAFETY: its words are aligned, read whole, and written atomically.
unsafe impl Sync for Gate {}

impl Gate {
    const CLEAR: Self = Self(UnsafeCell::new([0; LENGTH]));

    /// Whether `bit` is set in the generation that counts.
    #[inline(always)]
    pub fn is_set(&self, bit: u32) -> bool {
        let (word, mask) = place(bit);
        // SAFETY: the gate is long enough for any byte.
        let bits = unsafe {
            let current = self.word(0).cast::<u8>().read_volatile();
            self.word(word).byte_add(usize::from(current)).read_volatile()
        };
        bits & mask != 0
    }

    /// Whether a network may be blocked.
    #[inline(always)]
    pub fn has_networks(&self) -> bool {
        // SAFETY: a word of the gate.
        unsafe { self.word(NETWORKS).read_volatile() != 0 }
    }

    /// Sets `bit` in both generations.
    #[inline(always)]
    pub fn set(&self, bit: u32) {
        let (word, mask) = place(bit);
        for generation in 0..2 {
            // SAFETY: a word of the gate, which every writer writes atomically.
            unsafe { atomic::set_bits(self.word(word + generation), mask) };
        }
    }

    #[inline(always)]
    fn word(&self, index: usize) -> *mut u64 {
        // SAFETY: callers stay below `LENGTH`.
        unsafe { self.0.get().cast::<u64>().add(index) }
    }
}
