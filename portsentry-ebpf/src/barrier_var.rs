//! What the optimiser must not know, as the verifier doesn't know it, or the loader changes it.

use core::arch::asm;

/// The same number, of which the optimiser knows nothing: what is checked of it stays. `black_box` would do, but takes it to
/// the stack and back.
#[inline(always)]
pub fn barrier_var(mut number: usize) -> usize {
    // A register by name, as any other would have to stand in the template. That must be empty, or LLVM puts a line of the
    // source down for it, which two instructions would share: the kernel refuses that.
    // SAFETY: no instruction at all.
    unsafe { asm!("", inlateout("r6") number, options(pure, nomem, nostack, preserves_flags)) };
    number
}
