//! The clock of the programs that judge no received frame.

use aya_ebpf::helpers::generated::bpf_jiffies64;

use crate::settings::settings;

/// Returns the time in nanoseconds of `CLOCK_MONOTONIC`, with the resolution of a tick.
#[inline(always)]
pub fn now_ns() -> u64 {
    let settings = settings();
    // SAFETY: the helper has no preconditions.
    let jiffies = unsafe { bpf_jiffies64() };
    jiffies.wrapping_sub(settings.first_jiffy).wrapping_mul(settings.jiffy_ns)
}
