//! The gates before the blocked maps (see [`portsentry_common::gate`]), in memory that the daemon shares.

use core::{cell::UnsafeCell, hint::cold_path};

use aya_ebpf::helpers::generated::bpf_get_prandom_u32;
use portsentry_common::gate::{ALONE, EPOCH, HEAD, LENGTH, MOMENT, NETWORKS, is_set, mask_of, word_of};

use crate::atomic;

/// In sections of their own, which a program reads without a look-up. The daemon makes the maps that stand for them.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.gate_v4")]
pub static GATE_V4: Gate = Gate::CLEAR;
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.gate_v6")]
pub static GATE_V6: Gate = Gate::CLEAR;

/// A moment is as many jiffies long as this has bits: a second on most kernels, a quarter of one on some.
const MOMENT_BITS: u32 = 8;

/// The moment of that tick, its number in the upper half of a word, which an IPv4 address leaves free; never 0 in practice,
/// as jiffies begin near 2^32 (`INITIAL_JIFFIES`). The number comes again after a century.
#[inline(always)]
fn moment(jiffies: u64) -> u64 {
    jiffies >> MOMENT_BITS << 32
}

/// A head, then words of bits.
#[repr(transparent)]
pub struct Gate(UnsafeCell<[u64; LENGTH]>);

// SAFETY: its words are aligned, read whole, and written atomically.
unsafe impl Sync for Gate {}

impl Gate {
    const CLEAR: Self = Self(UnsafeCell::new([0; LENGTH]));

    /// Whether `bit` is set.
    #[inline(always)]
    pub fn is_set(&self, bit: u32) -> bool {
        // SAFETY: a word of the gate.
        is_set(unsafe { self.bits(bit).read_volatile() }, bit)
    }

    /// Whether a network may be blocked.
    #[inline(always)]
    pub fn has_networks(&self) -> bool {
        // SAFETY: a word of the gate.
        unsafe { self.word(NETWORKS).read_volatile() != 0 }
    }

    /// Whether a source may be held alone that others of its network would be held with.
    #[inline(always)]
    pub fn has_alone(&self) -> bool {
        // SAFETY: a word of the gate.
        unsafe { self.word(ALONE).read_volatile() != 0 }
    }

    /// Has such sources be looked for.
    #[inline(always)]
    pub fn set_alone(&self) {
        if !self.has_alone() {
            // SAFETY: a word of the gate, in which nobody writes anything else.
            unsafe { self.word(ALONE).write_volatile(1) };
        }
    }

    /// What stands for the moment whose explanations count, or 0 for none's.
    #[inline(always)]
    pub fn moment(&self) -> u64 {
        // SAFETY: a word of the gate.
        unsafe { self.word(MOMENT).read_volatile() }
    }

    /// Whether the explanations of that tick's moment count, as [`Self::follow`] has it.
    #[inline(always)]
    pub fn follows(&self, jiffies: u64) -> bool {
        self.moment() == moment(jiffies)
    }

    /// Has the explanations of that tick's moment count, and no others; returns what stands for it.
    #[inline(always)]
    pub fn follow(&self, jiffies: u64) -> u64 {
        let moment = moment(jiffies);
        if self.moment() != moment {
            // SAFETY: a word of the gate; whoever writes it at the same time writes the same, or 0.
            unsafe { self.word(MOMENT).write_volatile(moment) };
        }
        moment
    }

    /// The same where a number at random stands for a moment: entries that have no bits to spare are combined with it, and
    /// nobody can tell which other address they would stand for in another moment.
    #[inline(always)]
    pub fn follow_secretly(&self, jiffies: u64) -> u64 {
        let epoch = moment(jiffies);
        let known = self.moment();
        // SAFETY: a word of the gate.
        if known != 0 && unsafe { self.word(EPOCH).read_volatile() } == epoch {
            return known;
        }
        cold_path();
        // SAFETY: the helper has no preconditions. Two numbers of 32 bits, and never 0.
        let secret = unsafe { u64::from(bpf_get_prandom_u32()) << 32 | u64::from(bpf_get_prandom_u32()) | 1 };
        // SAFETY: words of the gate. Of several who write at the same time the last one's number counts, and what was
        // remembered with another's doesn't.
        unsafe {
            self.word(MOMENT).write_volatile(secret);
            self.word(EPOCH).write_volatile(epoch);
        }
        secret
    }

    /// Sets `bit`, both copies at once.
    #[inline(always)]
    pub fn set(&self, bit: u32) {
        // SAFETY: a word of the gate, which every writer writes atomically.
        unsafe { atomic::set_bits(self.bits(bit), mask_of(bit)) };
    }

    /// The word that `bit` stands in.
    #[inline(always)]
    fn bits(&self, bit: u32) -> *mut u32 {
        // SAFETY: the head and as many words as there are numbers for are the gate's. Counted in 32 bits, which spares a shift.
        unsafe { self.word(HEAD).cast::<u32>().byte_add((word_of(bit) as u32 * 4) as usize) }
    }

    #[inline(always)]
    fn word(&self, index: usize) -> *mut u64 {
        // SAFETY: callers stay below `LENGTH`.
        unsafe { self.0.get().cast::<u64>().add(index) }
    }
}
