//! The rate limit of each fenced source: how many of its packets per second are answered or forwarded.
//!
//! Each source has its own limit, so that an attacker who spoofs a few hosts doesn't use up the rate of all others.
//! The state takes four bytes of the source's fence ([`crate::block::Block::paced`]), and refills steadily as in
//! [`crate::token_bucket`].

use crate::settings::Settings;

/// Maximum number of packets at once: a browser opens some thirty connections.
const BURST: u32 = 400;
/// Unit of this clock, in nanoseconds as a power of two: 66 µs, so that 32 bits last three days.
const UNIT: u32 = 16;

/// Nanoseconds between two packets at a fenced source's rate: 250 a second. An attacker who spoofs a host's address
/// at 200 packets a second leaves that host 50.
pub const EACH_NS: u32 = 4_000_000;

/// Takes one token of the limit that is full again at `whole`. Returns the new time, or `None` if no token is left
/// at `now_ns`. A time more than a burst ahead is in the past, or from another boot.
#[expect(clippy::cast_possible_truncation, reason = "a clock that wraps every three days")]
#[inline(always)]
#[must_use]
pub const fn take(whole: u32, now_ns: u64, settings: &Settings) -> Option<u32> {
    let each = settings.source_each_ns >> UNIT;
    let (now, most) = ((now_ns >> UNIT) as u32, each.saturating_mul(BURST));
    let ahead = whole.wrapping_sub(now);
    let owed = if ahead > most { each } else { ahead + each };
    if owed <= most { Some(now.wrapping_add(owed)) } else { None }
}

/// Maximum number of wrong acknowledgements per second and at once. A cookie has 30 bits, so that guessing at this
/// rate takes twelve days on average.
const GUESSES: u16 = 1000;
/// Unit of their clock, in nanoseconds as a power of two: a millisecond, so that 16 bits last a minute.
const GUESS: u32 = 20;

/// Whether another acknowledgement of a source may be checked at `now_ns`. `whole` is the time when its limit of
/// wrong ones is full again.
#[inline(always)]
#[must_use]
pub const fn may_guess(whole: u16, now_ns: u64, settings: &Settings) -> bool {
    settings.source_each_ns == 0 || guess(whole, now_ns).is_some()
}

/// Returns the time when the limit is full again after a wrong acknowledgement, or `None` if it is exceeded.
#[expect(clippy::cast_possible_truncation, reason = "a clock that wraps every minute")]
#[inline(always)]
#[must_use]
pub const fn guess(whole: u16, now_ns: u64) -> Option<u16> {
    let now = (now_ns >> GUESS) as u16;
    let ahead = whole.wrapping_sub(now);
    let owed = if ahead > GUESSES { 1 } else { ahead + 1 };
    if owed <= GUESSES { Some(now.wrapping_add(owed)) } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;
    const SETTINGS: Settings = Settings { source_each_ns: EACH_NS, ..Settings::UNSET };

    /// Returns how many packets at these times are within the limit.
    fn taken(whole: &mut u32, times: impl Iterator<Item = u64>) -> usize {
        let may = |now_ns: &u64| take(*whole, *now_ns, &SETTINGS).map(|next| *whole = next).is_some();
        times.filter(may).count()
    }

    #[test]
    fn a_burst_goes_at_once_and_250_a_second_after_that() {
        let mut whole = 0;
        let now = 77 * SECOND_NS;
        assert_eq!(taken(&mut whole, std::iter::repeat_n(now, 1000)), 400);
        let later = taken(&mut whole, (1..=10_000).map(|step| now + step * SECOND_NS / 1000));
        assert!((2450..=2550).contains(&later), "{later} in ten seconds");
    }

    #[test]
    fn a_spoofer_at_200_a_second_leaves_room_for_the_host() {
        let mut whole = 0;
        let all = (0..200 * 3600).map(|step| 5 * SECOND_NS + step * SECOND_NS / 200);
        assert_eq!(taken(&mut whole, all), 200 * 3600);
    }

    #[test]
    fn a_thousand_wrong_acknowledgements_a_second_are_checked() {
        let (mut whole, mut checked) = (0, 0);
        for now_ns in (0..4_000).map(|step| 99 * SECOND_NS + step * SECOND_NS / 4_000) {
            if may_guess(whole, now_ns, &SETTINGS) {
                checked += 1;
                whole = guess(whole, now_ns).unwrap();
            }
        }
        assert!((1900..=2000).contains(&checked), "{checked} in the first second");
    }

    #[test]
    fn no_limit_is_none() {
        let settings = Settings { source_each_ns: 0, ..SETTINGS };
        assert!((0..1000).all(|_| take(7, 99 * SECOND_NS, &settings).is_some()));
    }

    proptest! {
        #[test]
        fn nobody_is_shut_out_by_what_an_earlier_boot_left(whole: u32, now in 0u64..1 << 60) {
            let mut whole = whole;
            let times = (0..4).map(|step| now + step * SECOND_NS);
            prop_assert!(taken(&mut whole, times) >= 2);
        }
    }
}
