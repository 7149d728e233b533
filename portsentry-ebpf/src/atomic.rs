//! Atomic read-modify-write operations of BPF (Linux 5.12). Stable Rust lacks them for this target.

use core::intrinsics::{AtomicOrdering, atomic_or, atomic_xadd, atomic_xchg};

/// Adds `value` to the word at `word`.
///
/// # Safety
///
/// `word` must be valid and aligned: a field of a map's value.
#[inline(always)]
pub unsafe fn add(word: *mut u64, value: u64) {
    // SAFETY: the caller has a valid, aligned word: a field of a map's value.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(word, value) };
}

/// Stores `value` in the word at `word` and returns the old value.
///
/// # Safety
///
/// `word` must be valid and aligned: a map's value.
#[inline(always)]
pub unsafe fn swap(word: *mut u64, value: u64) -> u64 {
    // SAFETY: as in `add`, the caller has a valid, aligned word.
    unsafe { atomic_xchg::<u64, { AtomicOrdering::AcqRel }>(word, value) }
}

/// Sets the bits of `mask` in the word at `word`.
///
/// # Safety
///
/// `word` must be valid and aligned: a map's value.
#[inline(always)]
pub unsafe fn set_bits(word: *mut u32, mask: u32) {
    // SAFETY: as in `add`, the caller has a valid, aligned word.
    unsafe { atomic_or::<u32, u32, { AtomicOrdering::Relaxed }>(word, mask) };
}
