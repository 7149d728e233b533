//! Counts the failed connections of a source, in bounded memory.

use bytemuck::{Pod, Zeroable};

use crate::tally::Tally;

/// The failed connections of a source.
///
/// A refusal that an answer has shown is a failure. A question to a port that has refused others is suspected until
/// its answer comes, and counts half: the first client of several new services asks for all of them before any answer
/// acquits it. A served port takes one off.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Failures {
    /// Time of the last new failure, in nanoseconds of `CLOCK_MONOTONIC`.
    pub last_ns: u64,
    /// Number of distinct ports that have failed, or are suspected.
    pub hits: u32,
    /// A bit for each of `pairs`: whether it is only suspected.
    pub suspected: u32,
    /// Hashes of these ports: see [`crate::tally::pair`].
    pub pairs: [u32; Tally::PAIRS],
    /// The served ports since the first failure.
    pub served: Tally,
}

const _: () = assert!(size_of::<Failures>() == 160);

impl Failures {
    /// No failures yet.
    pub const NONE: Self =
        Self { last_ns: 0, hits: 0, suspected: 0, pairs: [0; Tally::PAIRS], served: Tally::EMPTY };

    /// Counts a question to the port `pair`, which has refused other sources. Returns the number of failures.
    #[inline(always)]
    pub fn suspect(&mut self, pair: u32, now_ns: u64, window_ns: u64) -> u32 {
        self.add(pair, 1, now_ns, window_ns)
    }

    /// Counts a refusal by the port `pair`. Returns the number of failures. They are forgotten once the last new one is
    /// `window_ns` old, or never with 0.
    #[inline(always)]
    pub fn refuse(&mut self, pair: u32, now_ns: u64, window_ns: u64) -> u32 {
        self.add(pair, 0, now_ns, window_ns)
    }

    #[inline(always)]
    fn add(&mut self, pair: u32, suspected: u32, now_ns: u64, window_ns: u64) -> u32 {
        if self.is_over(window_ns, now_ns) {
            (self.hits, self.suspected, self.served.hits) = (0, 0, 0);
        }
        let place = self.place(pair);
        if place < Tally::PAIRS {
            // A failure remains one while the port is asked again.
            self.suspected &= !((1 ^ suspected) << place);
        } else {
            let place = self.hits as usize % Tally::PAIRS;
            self.pairs[place] = pair;
            self.suspected = self.suspected & !(1 << place) | suspected << place;
            self.hits = self.hits.saturating_add(1);
            self.last_ns = now_ns;
        }
        self.balance()
    }

    /// Forgets that the port `pair` has failed or is suspected, because it accepts. If it has done neither, takes one
    /// failure off, up to `credit` in all: a scanner need not complete its connections.
    #[inline(always)]
    pub fn accept(&mut self, pair: u32, now_ns: u64, window_ns: u64, credit: u32) {
        if self.is_over(window_ns, now_ns) {
            return;
        }
        let place = self.place(pair);
        if place < Tally::PAIRS {
            // The newest takes its place.
            self.hits -= 1;
            let newest = self.hits as usize % Tally::PAIRS;
            self.pairs[place] = self.pairs[newest];
            // Or it would be found twice if older ones have been forgotten.
            self.pairs[newest] = 0;
            let is_suspected = self.suspected >> newest & 1;
            self.suspected &= !(1 << newest | 1 << place);
            self.suspected |= if place == newest { 0 } else { is_suspected << place };
        } else {
            self.take_off(pair, now_ns, credit);
        }
    }

    /// Takes one failure off, because the source has a connection to the port `pair`. There may be up to `credit` more of
    /// these ports than failures.
    #[inline(always)]
    pub fn converse(&mut self, pair: u32, now_ns: u64, window_ns: u64, credit: u32) {
        if !self.is_over(window_ns, now_ns) && self.place(pair) >= Tally::PAIRS {
            self.take_off(pair, now_ns, self.hits.saturating_add(credit));
        }
    }

    #[inline(always)]
    fn take_off(&mut self, pair: u32, now_ns: u64, most: u32) {
        if self.served.hits < most {
            self.served.count(pair, now_ns, 0);
        }
    }

    /// Returns the place of a port that has failed or is suspected, or a number beyond all places.
    #[inline(always)]
    fn place(&self, pair: u32) -> usize {
        for (place, known) in self.pairs.iter().enumerate() {
            // Not by `take`, whose end the kernel's verifier wouldn't see.
            if place >= self.hits as usize {
                break;
            }
            if *known == pair {
                return place;
            }
        }
        usize::MAX
    }

    /// Returns the number of failures at `now_ns`.
    #[inline(always)]
    #[must_use]
    pub const fn number(&self, now_ns: u64, window_ns: u64) -> u32 {
        if self.is_over(window_ns, now_ns) { 0 } else { self.balance() }
    }

    #[inline(always)]
    const fn is_over(&self, window_ns: u64, now_ns: u64) -> bool {
        window_ns != 0 && now_ns.saturating_sub(self.last_ns) >= window_ns
    }

    /// Returns the failures, and half of the suspected ones, without those that were taken off.
    #[inline(always)]
    const fn balance(&self) -> u32 {
        let halves = self.hits.saturating_mul(2).saturating_sub(self.suspected.count_ones());
        halves.saturating_sub(self.served.hits.saturating_mul(2)) / 2
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 3_600_000_000_000;
    const CREDIT: u32 = 3;

    fn refuse(failures: &mut Failures, pair: u32) -> u32 {
        failures.refuse(pair, HOUR, HOUR)
    }

    fn suspect(failures: &mut Failures, pair: u32) -> u32 {
        failures.suspect(pair, HOUR, HOUR)
    }

    fn accept(failures: &mut Failures, pair: u32) -> u32 {
        failures.accept(pair, HOUR, HOUR, CREDIT);
        failures.number(HOUR, HOUR)
    }

    fn converse(failures: &mut Failures, pair: u32) -> u32 {
        failures.converse(pair, HOUR, HOUR, CREDIT);
        failures.number(HOUR, HOUR)
    }

    #[test]
    fn refusals_add_up_and_served_ports_take_them_off() {
        let mut failures = Failures::NONE;
        assert_eq!([1, 1, 2, 3].map(|pair| refuse(&mut failures, pair)), [1, 1, 2, 3]);
        assert_eq!(accept(&mut failures, 80), 2);
        assert_eq!(accept(&mut failures, 80), 2, "the same port takes off only one");
        assert_eq!(refuse(&mut failures, 3), 2, "a port that refuses again adds none");
        assert_eq!([81, 82, 83].map(|pair| accept(&mut failures, pair)), [1, 0, 0]);
    }

    /// A crawler finds one site in four without TLS, and several at the same time.
    #[test]
    fn connections_are_credit_up_to_a_limit() {
        let mut failures = Failures::NONE;
        refuse(&mut failures, 1);
        (100..200).for_each(|pair| assert_eq!(converse(&mut failures, pair), 0));
        let numbers: Vec<u32> = (2..10).map(|pair| refuse(&mut failures, pair)).collect();
        assert_eq!(numbers, [0, 0, 0, 1, 2, 3, 4, 5], "the eighth refusal is the fourth that counts");
        assert_eq!([200, 201, 202, 200].map(|pair| converse(&mut failures, pair)), [4, 3, 2, 2]);
    }

    /// A scanner of a port that most hosts serve.
    #[test]
    fn half_open_connections_take_three_off() {
        let mut failures = Failures::NONE;
        let numbers: Vec<u32> = (1..9)
            .map(|pair| {
                let number = refuse(&mut failures, pair);
                accept(&mut failures, 100 + pair);
                number
            })
            .collect();
        assert_eq!(numbers, [1, 1, 1, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn questions_to_refused_ports_count_half_until_they_are_answered() {
        let mut failures = Failures::NONE;
        let numbers = [1, 2, 3, 4, 5, 6, 7].map(|pair| suspect(&mut failures, pair));
        assert_eq!(numbers, [0, 1, 1, 2, 2, 3, 3]);
        assert_eq!([1, 2].map(|pair| accept(&mut failures, pair)), [3, 2], "both are services now");
        assert_eq!([3, 4, 4].map(|pair| refuse(&mut failures, pair)), [3, 3, 3]);
        assert_eq!(suspect(&mut failures, 4), 3, "a failure stays one");
        assert_eq!([3, 5, 6, 7].map(|pair| accept(&mut failures, pair)), [2, 2, 1, 1]);
        assert_eq!(accept(&mut failures, 4), 0);
        assert_eq!((failures.hits, failures.suspected), (0, 0));
    }

    /// Of twenty ports the last sixteen are remembered.
    #[test]
    fn a_port_is_forgotten_once_though_older_ones_are_not_remembered() {
        let mut failures = Failures::NONE;
        let numbers: Vec<u32> = (1..=20).map(|pair| refuse(&mut failures, pair)).collect();
        assert_eq!(numbers.last(), Some(&20));
        failures.accept(10, HOUR, HOUR, 0);
        failures.accept(20, HOUR, HOUR, 0);
        assert_eq!(failures.number(HOUR, HOUR), 18);
        failures.accept(20, HOUR, HOUR, 0);
        assert_eq!(failures.number(HOUR, HOUR), 18, "it is no failure any more");
    }

    #[test]
    fn failures_end_with_the_window() {
        let mut failures = Failures::NONE;
        failures.refuse(1, HOUR, HOUR);
        for (now, window, expected) in
            [(HOUR, HOUR, 1), (2 * HOUR - 1, HOUR, 1), (2 * HOUR, HOUR, 0), (9 * HOUR, 0, 1)]
        {
            assert_eq!(failures.number(now, window), expected, "{now} {window}");
        }
        failures.accept(80, HOUR, HOUR, CREDIT);
        assert_eq!(failures.refuse(2, 2 * HOUR, HOUR), 1, "credit ends with the failures");
    }

    /// The same rule with sets.
    #[derive(Default)]
    struct Sets {
        refused: HashSet<u32>,
        suspected: HashSet<u32>,
        served: HashSet<u32>,
    }

    impl Sets {
        fn number(&self) -> usize {
            let halves = 2 * self.refused.len() + self.suspected.len();
            halves.saturating_sub(2 * self.served.len()) / 2
        }
    }

    proptest! {
        /// Few ports, so that none is forgotten.
        #[test]
        fn failures_are_counted_exactly(steps in prop::collection::vec((0u8..4, 0u32..16), 0..200)) {
            let (mut failures, mut sets) = (Failures::NONE, Sets::default());
            for (kind, pair) in steps {
                match kind {
                    0 => {
                        refuse(&mut failures, pair);
                        sets.suspected.remove(&pair);
                        sets.refused.insert(pair);
                    }
                    1 => {
                        suspect(&mut failures, pair);
                        if !sets.refused.contains(&pair) {
                            sets.suspected.insert(pair);
                        }
                    }
                    2 => {
                        let has_begun = failures.last_ns != 0;
                        accept(&mut failures, pair);
                        let has_failed = sets.refused.remove(&pair) | sets.suspected.remove(&pair);
                        if has_begun && !has_failed && sets.served.len() < CREDIT as usize {
                            sets.served.insert(pair);
                        }
                    }
                    _ => {
                        let has_begun = failures.last_ns != 0;
                        converse(&mut failures, pair);
                        let has_failed = sets.refused.contains(&pair) || sets.suspected.contains(&pair);
                        let failed = sets.refused.len() + sets.suspected.len();
                        if has_begun && !has_failed && sets.served.len() < failed + CREDIT as usize {
                            sets.served.insert(pair);
                        }
                    }
                }
                prop_assert_eq!(failures.number(HOUR, HOUR) as usize, sets.number());
            }
        }

        #[test]
        fn failures_never_exceed_the_refusals(steps in prop::collection::vec((0u8..4, 0u32..40), 0..300)) {
            let (mut failures, mut refused) = (Failures::NONE, 0);
            for (kind, pair) in steps {
                match kind {
                    0 => refuse(&mut failures, pair),
                    1 => suspect(&mut failures, pair),
                    2 => converse(&mut failures, pair),
                    _ => accept(&mut failures, pair),
                };
                refused += u32::from(kind < 2);
                prop_assert!(failures.number(HOUR, HOUR) <= refused);
                let unused = u32::MAX.checked_shl(failures.hits).unwrap_or(0);
                prop_assert_eq!(failures.suspected & unused & 0xffff, 0, "no bit without a port");
            }
        }
    }
}
