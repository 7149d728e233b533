//! A token bucket that is the time at which it is full again (the generic cell rate algorithm of ITU-T I.371).
//!
//! It refills steadily, so that events after a flood need not wait for the next second, and holds the tokens of one
//! second.

const SECOND_NS: u64 = 1_000_000_000;

/// The time for a token that never returns.
pub const NEVER: u32 = u32::MAX;

/// Returns the nanoseconds after which a bucket regains a token, at `rate` tokens per second.
#[must_use]
pub const fn each_ns(rate: u32) -> u32 {
    match 1_000_000_000_u32.checked_div(rate) {
        Some(ns) => ns,
        None => NEVER,
    }
}

/// Takes a token from the bucket that is full again at `whole_ns` and regains one each `each_ns`. Returns `false` if
/// it is empty at `now_ns`.
#[inline(always)]
pub fn try_acquire(whole_ns: &mut u64, each_ns: u32, now_ns: u64) -> bool {
    if each_ns == NEVER {
        return false;
    }
    let ahead_ns = whole_ns.wrapping_sub(now_ns);
    // An earlier program left a time more than a second ahead. The bucket is full.
    let owed_ns = if ahead_ns > SECOND_NS { 0 } else { ahead_ns } + u64::from(each_ns);
    let may = owed_ns <= SECOND_NS;
    if may {
        *whole_ns = now_ns + owed_ns;
    }
    may
}
