//! Rate limit of KILL actions, which tells when it begins and ceases to skip some.

use std::time::Duration;

use portsentry_common::bucket;

/// Grants this many actions per second, and as many at once after a second without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    each_ns: u32,
    /// When all actions of a second are there again.
    whole_ns: u64,
    now_ns: u64,
    left_out: u64,
}

/// Start or end of a period in which actions are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// This action is the first to be skipped.
    Began,
    /// For a second, fewer actions were requested than granted.
    Ended {
        /// Actions skipped in the period.
        left_out: u64,
    },
}

impl Limit {
    /// Creates a limit of `per_second` actions per second. Those of the first second are available at once. 0
    /// grants none.
    #[must_use]
    pub const fn new(per_second: u32) -> Self {
        Self { each_ns: bucket::each_ns(per_second), whole_ns: 0, now_ns: 0, left_out: 0 }
    }

    /// Requests an action at `now`, the time since any fixed moment. Returns whether it is granted, and a change to
    /// be logged.
    pub fn grant(&mut self, now: Duration) -> (bool, Option<Change>) {
        let ended = self.tick(now);
        if self.take(now) {
            return (true, ended);
        }
        self.left_out += 1;
        (false, (self.left_out == 1).then_some(Change::Began))
    }

    /// Whether one more action may be taken at `now`. If not, it doesn't count as skipped, because it will be
    /// requested again.
    pub fn take(&mut self, now: Duration) -> bool {
        self.follow(now);
        bucket::try_acquire(&mut self.whole_ns, self.each_ns, self.now_ns)
    }

    /// Whether actions are no longer skipped at `now`. Must be called regularly, because no further action may
    /// come.
    pub fn tick(&mut self, now: Duration) -> Option<Change> {
        self.follow(now);
        let is_whole = self.each_ns != bucket::NEVER && self.whole_ns <= self.now_ns;
        (self.left_out > 0 && is_whole)
            .then(|| Change::Ended { left_out: std::mem::take(&mut self.left_out) })
    }

    /// Follows a clock that may go back, but only forward.
    fn follow(&mut self, now: Duration) {
        // Half of the range is 292 years.
        let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX / 2);
        self.now_ns = self.now_ns.max(now_ns);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug)]
    enum Step {
        Ask(bool, Option<Change>),
        Tick(Option<Change>),
    }
    use Change::{Began, Ended};
    use Step::{Ask, Tick};

    #[test]
    fn limits_and_says_so_once() {
        for (per_second, steps) in [
            (2, &[(0, Ask(true, None)), (0, Ask(true, None)), (0, Ask(false, Some(Began)))][..]),
            (
                2,
                &[
                    (0, Ask(true, None)),
                    (499, Ask(true, None)),
                    (500, Ask(true, None)),
                    (1000, Ask(true, None)),
                ],
            ),
            (
                2,
                &[
                    (0, Ask(true, None)),
                    (0, Ask(true, None)),
                    (0, Ask(false, Some(Began))),
                    (1, Ask(false, None)),
                    (500, Ask(true, None)),
                    (999, Ask(false, None)),
                    (1000, Ask(true, None)),
                    (1999, Tick(None)),
                    (2000, Tick(Some(Ended { left_out: 3 }))),
                    (2001, Tick(None)),
                    (2001, Ask(true, None)),
                ],
            ),
            // An action may be the first to notice the end.
            (
                1,
                &[
                    (0, Ask(true, None)),
                    (0, Ask(false, Some(Began))),
                    (1000, Ask(true, Some(Ended { left_out: 1 }))),
                ],
            ),
            // A clock that goes back has no effect.
            (
                1,
                &[
                    (5000, Ask(true, None)),
                    (0, Ask(false, Some(Began))),
                    (5999, Ask(false, None)),
                    (1, Tick(None)),
                ],
            ),
            (0, &[(0, Ask(false, Some(Began))), (9000, Ask(false, None)), (99_000, Tick(None))]),
            (u32::MAX, &[(0, Ask(true, None)), (u64::MAX, Ask(true, None))]),
        ] {
            let mut limit = Limit::new(per_second);
            for (index, (at, step)) in steps.iter().enumerate() {
                let now = Duration::from_millis(*at);
                match step {
                    Ask(granted, change) => {
                        assert_eq!(limit.grant(now), (*granted, *change), "{per_second}: {index}");
                    }
                    Tick(change) => assert_eq!(limit.tick(now), *change, "{per_second}: {index}"),
                }
            }
        }
    }

    proptest! {
        #[test]
        fn never_grants_more_than_it_may(per_second in 1..50_u32, pauses in prop::collection::vec(0..300_u64, 1..200)) {
            let mut limit = Limit::new(per_second);
            let (mut now, mut granted, mut told, mut refused) = (Duration::ZERO, 0, 0, 0);
            let mut count = |change| if let Some(Ended { left_out }) = change { told += left_out };
            for pause in pauses {
                now += Duration::from_millis(pause);
                let (grants, change) = limit.grant(now);
                count(change);
                granted += u64::from(grants);
                refused += u64::from(!grants);
            }
            prop_assert!(granted * 1000 <= u64::from(per_second) * (1000 + u64::try_from(now.as_millis()).unwrap()));
            count(limit.tick(now + Duration::from_secs(1)));
            prop_assert_eq!(told, refused);
        }
    }
}
