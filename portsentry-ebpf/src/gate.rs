//! The gates before the blocked maps (see [`portsentry_common::gate`]), in memory that the daemon shares.
//!
//! It must not know who is blocked.

use core::cell::UnsafeCell;

use portsentry_common::gate::{CURRENT, GENERATIONS, LENGTH, place};

use crate::atomic;

/// In sections of their own, which a program reads without a look-up. The daemon makes the maps that stand for them.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.gate_v4")]
pub static GATE_V4: Gate = Gate::CLEAR;
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.gate_v6")]
pub static GATE_V6: Gate = Gate::CLEAR;

/// Words of bits, then where the generation begins that counts.
#[repr(transparent)]
pub struct Gate(UnsafeCell<[u64; LENGTH as usize]>);

// SAFETY: its words are aligned, read whole, and written atomically.
unsafe impl Sync for Gate {}

impl Gate {
    const CLEAR: Self = Self(UnsafeCell::new([0; LENGTH as usize]));

    /// Whether `bit` is set in the generation that counts.
    #[inline(always)]
    pub fn is_set(&self, bit: u32) -> bool {
        let (word, mask) = place(bit);
        // SAFETY: both are words of the gate.
        let bits = unsafe {
            let current = self.word(CURRENT).read_volatile() as u32;
            self.word((word + current) % CURRENT).read_volatile()
        };
        bits & mask != 0
    }

    /// Sets `bit` in both generations.
    #[inline(always)]
    pub fn set(&self, bit: u32) {
        let (word, mask) = place(bit);
        for generation in GENERATIONS {
            // SAFETY: a word of the gate, which every writer writes atomically.
            unsafe { atomic::set_bits(self.word(word + generation), mask) };
        }
    }

    #[inline(always)]
    fn word(&self, index: u32) -> *mut u64 {
        // SAFETY: callers stay below `LENGTH`.
        unsafe { self.0.get().cast::<u64>().add(index as usize) }
    }
}
