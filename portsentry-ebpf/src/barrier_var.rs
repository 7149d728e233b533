//! Optimisation barrier: keeps the bounds checks that the verifier needs, and the values that the loader changes.

use core::arch::asm;

/// Returns `number` as a value unknown to the optimiser, so that checks on it remain. `black_box` would do the
/// same, but through the stack.
#[inline(always)]
pub fn barrier_var(mut number: usize) -> usize {
    // The register is named because any other operand would have to appear in the template. The template must be
    // empty: otherwise LLVM assigns it a source line that two instructions share, which the kernel refuses.
    // SAFETY: no instruction at all.
    unsafe { asm!("", inlateout("r6") number, options(pure, nomem, nostack, preserves_flags)) };
    number
}
