//! The gates before the blocked maps (see [`portsentry_common::gate`]), in memory that the daemon shares.

use core::{cell::UnsafeCell, hint::cold_path};

use aya_ebpf::helpers::generated::bpf_get_prandom_u32;
use portsentry_common::gate::{
    ALONE, EPOCH, HEAD, Held, LENGTH, MOMENT, NETWORKS, Near, mask_of, near, word_of,
};

use crate::atomic;

/// In separate sections, which a program reads without a look-up. The daemon creates the maps for them.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.gate_v4")]
pub static GATE_V4: Gate = Gate::CLEAR;
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.gate_v6")]
pub static GATE_V6: Gate = Gate::CLEAR;

/// A moment lasts 2^8 jiffies: a second on most kernels, a quarter of a second on some.
const MOMENT_BITS: u32 = 8;

/// Returns the moment of a tick. It is in the upper half of a word, because an IPv4 address leaves that half free.
/// It is never 0 in practice, because jiffies start near 2^32 (`INITIAL_JIFFIES`). Numbers repeat after a century.
#[inline(always)]
fn moment(jiffies: u64) -> u64 {
    jiffies >> MOMENT_BITS << 32
}

/// The header of a gate, followed by words of bits.
#[repr(transparent)]
pub struct Gate(UnsafeCell<[u64; LENGTH]>);

// SAFETY: the words are aligned, read whole, and written atomically.
unsafe impl Sync for Gate {}

impl Gate {
    const CLEAR: Self = Self(UnsafeCell::new([0; LENGTH]));

    /// Returns the maps whose bits are set.
    #[inline(always)]
    pub fn near(&self, bit: u32) -> Near {
        // SAFETY: a word of the gate.
        near(unsafe { self.bits(bit).read_volatile() }, bit)
    }

    /// Whether any network may be blocked.
    #[inline(always)]
    pub fn has_networks(&self) -> bool {
        // SAFETY: a word of the gate.
        unsafe { self.word(NETWORKS).read_volatile() != 0 }
    }

    /// Whether a source that shares a network with others may be blocked or fenced by itself.
    #[inline(always)]
    pub fn has_alone(&self) -> bool {
        // SAFETY: a word of the gate.
        unsafe { self.word(ALONE).read_volatile() != 0 }
    }

    /// Records that a source is blocked or fenced by itself.
    #[inline(always)]
    pub fn set_alone(&self) {
        if !self.has_alone() {
            // SAFETY: a word of the gate, into which every writer writes 1.
            unsafe { self.word(ALONE).write_volatile(1) };
        }
    }

    /// Returns the token of the moment whose cache entries are valid, or 0 for none.
    #[inline(always)]
    pub fn moment(&self) -> u64 {
        // SAFETY: a word of the gate.
        unsafe { self.word(MOMENT).read_volatile() }
    }

    /// Whether the cache entries of this tick's moment are valid, as set by [`Self::follow`].
    #[inline(always)]
    pub fn follows(&self, jiffies: u64) -> bool {
        self.moment() == moment(jiffies)
    }

    /// Makes only the cache entries of this tick's moment valid. Returns the moment's token.
    #[inline(always)]
    pub fn follow(&self, jiffies: u64) -> u64 {
        let moment = moment(jiffies);
        if self.moment() != moment {
            // SAFETY: a word of the gate; concurrent writers write the same value, or 0.
            unsafe { self.word(MOMENT).write_volatile(moment) };
        }
        moment
    }

    /// Does the same with a random number as the token. Entries without spare bits are combined with this number,
    /// so that a sender can't predict which address an entry matches in another moment.
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
        // SAFETY: words of the gate. If several writers compete, the last one's number stays; entries made with
        // another number don't match.
        unsafe {
            self.word(MOMENT).write_volatile(secret);
            self.word(EPOCH).write_volatile(epoch);
        }
        secret
    }

    /// Sets the map's `bit` in both copies at once.
    #[inline(always)]
    pub fn set(&self, bit: u32, held: Held) {
        // SAFETY: a word of the gate, which every writer writes atomically.
        unsafe { atomic::set_bits(self.bits(bit), mask_of(bit, held)) };
    }

    /// Returns the word that holds `bit`.
    #[inline(always)]
    fn bits(&self, bit: u32) -> *mut u32 {
        // SAFETY: the gate consists of the head and one word for each number. The offset has 32 bits, which saves a
        // shift.
        unsafe { self.word(HEAD).cast::<u32>().byte_add((word_of(bit) as u32 * 4) as usize) }
    }

    #[inline(always)]
    fn word(&self, index: usize) -> *mut u64 {
        // SAFETY: callers stay below `LENGTH`.
        unsafe { self.0.get().cast::<u64>().add(index) }
    }
}
