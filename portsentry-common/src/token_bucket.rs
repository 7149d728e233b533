//! Token buckets: the rate limits of one CPU.

use bytemuck::{Pod, Zeroable};

use crate::{bucket, environment::RateLimit, settings::Settings};

/// Each CPU learns at most 20,000 flows a second, because a new one costs up to half a microsecond.
const LEARN_EACH_NS: u32 = 50_000;
/// Each CPU tells the daemon of at most 1000 first failures a second. A flood leaves a sample.
const CONTACT_EACH_NS: u32 = 1_000_000;

/// One CPU's token buckets. Each is the time at which the bucket is full again, in nanoseconds of
/// `CLOCK_MONOTONIC` (see [`bucket`]).
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct TokenBuckets {
    /// Events to report.
    pub report_ns: u64,
    /// Fences to make.
    pub fence_ns: u64,
    /// SYNs to answer.
    pub answer_ns: u64,
    /// Acknowledgements to check.
    pub check_ns: u64,
    /// SYNs of fenced sources to answer or forward.
    pub syn_ns: u64,
    /// Flows to learn from outgoing packets.
    pub learn_ns: u64,
    /// Sources with a failed connection to enter.
    pub fail_ns: u64,
    /// First failures of which the daemon is told.
    pub contact_ns: u64,
}

const _: () = assert!(size_of::<TokenBuckets>() == 64);

impl TokenBuckets {
    /// Takes a token from a bucket. Returns `false` if the bucket is empty at `now_ns`.
    #[inline(always)]
    pub fn try_acquire(&mut self, limit: RateLimit, settings: &Settings, now_ns: u64) -> bool {
        let (whole_ns, each_ns) = match limit {
            RateLimit::Report => (&mut self.report_ns, settings.event_each_ns),
            RateLimit::Fence => (&mut self.fence_ns, settings.fence_each_ns),
            RateLimit::Answer => (&mut self.answer_ns, settings.challenge_each_ns),
            // If every SYN of a fenced source is answered, acknowledgements are checked at the same rate.
            RateLimit::Check if settings.opens() => (&mut self.check_ns, settings.syn_each_ns),
            RateLimit::Check => (&mut self.check_ns, settings.challenge_each_ns),
            RateLimit::Syn => (&mut self.syn_ns, settings.syn_each_ns),
            RateLimit::Learn => (&mut self.learn_ns, LEARN_EACH_NS),
            RateLimit::Fail => (&mut self.fail_ns, LEARN_EACH_NS),
            RateLimit::Contact => (&mut self.contact_ns, CONTACT_EACH_NS),
        };
        bucket::try_acquire(whole_ns, each_ns, now_ns)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn try_acquire(buckets: &mut TokenBuckets, rate: u32, now_ns: u64) -> bool {
        buckets.try_acquire(
            RateLimit::Fence,
            &Settings { fence_rate: rate, ..Settings::UNSET }.paced(),
            now_ns,
        )
    }

    #[test]
    fn a_seconds_worth_goes_at_once_and_comes_back_bit_by_bit() {
        let mut buckets = TokenBuckets::default();
        let now = 77 * SECOND_NS;
        assert_eq!((0..100).filter(|_| try_acquire(&mut buckets, 10, now)).count(), 10);
        assert!(!try_acquire(&mut buckets, 10, now + SECOND_NS / 10 - 1));
        assert!(try_acquire(&mut buckets, 10, now + SECOND_NS / 10));
        assert!(!try_acquire(&mut buckets, 10, now + SECOND_NS / 10));
    }

    #[test]
    fn none_is_none_and_most_is_no_limit() {
        let mut buckets = TokenBuckets::default();
        assert!((0..10).all(|now| !try_acquire(&mut buckets, 0, now)));
        assert!((0..1_000_000).all(|_| try_acquire(&mut buckets, u32::MAX, 5)));
    }

    #[test]
    fn allowances_are_apart() {
        let settings =
            Settings { event_rate: 1, fence_rate: 1, challenge_rate: 1, ..Settings::UNSET }.paced();
        let mut buckets = TokenBuckets::default();
        for limit in [RateLimit::Report, RateLimit::Fence, RateLimit::Answer, RateLimit::Check] {
            assert!(buckets.try_acquire(limit, &settings, 9));
            assert!(!buckets.try_acquire(limit, &settings, 9));
        }
    }

    #[test]
    fn what_another_boot_left_does_not_stop_it() {
        let mut buckets = TokenBuckets { fence_ns: 1000 * SECOND_NS, ..TokenBuckets::default() };
        assert!(try_acquire(&mut buckets, 1, 5) && !try_acquire(&mut buckets, 1, 6));
    }

    proptest! {
        #[test]
        fn no_more_than_the_rate(rate in 1u32..5000, steps in prop::collection::vec(0u64..3_000_000, 1..3000)) {
            let (mut buckets, mut now, mut spent) = (TokenBuckets::default(), SECOND_NS, 0u64);
            for step in steps {
                now += step;
                spent += u64::from(try_acquire(&mut buckets, rate, now));
            }
            let each = SECOND_NS / u64::from(rate);
            prop_assert!(spent * each <= now, "{spent} in {} ns", now - SECOND_NS);
        }
    }
}
