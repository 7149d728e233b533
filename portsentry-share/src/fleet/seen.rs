//! The numbers of a peer's news: which have arrived, and whether any are missing.

use std::collections::{BTreeSet, VecDeque};

use super::wire::Beat;

/// Maximum number of numbers that are remembered beyond a gap.
const REMEMBERED: usize = 4096;
/// Number of earlier runs whose late messages are recognised.
const RUNS: usize = 8;

/// An arrival of news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The first one.
    First,
    /// Another one, of news that are to be heard again.
    Again,
}

/// The numbers of the current run of a peer's companion.
#[derive(Debug, Default)]
pub struct Seen {
    run: Option<u64>,
    earlier: VecDeque<u64>,
    /// All numbers up to this one have arrived, or are known from the state.
    low: u64,
    above: BTreeSet<u64>,
    /// The largest number that had arrived when the numbers were forgotten.
    forgotten: u64,
}

impl Seen {
    /// Whether news of the current run have arrived before.
    #[must_use]
    pub fn has(&self, run: u64, number: u64) -> bool {
        self.run == Some(run) && (number <= self.low || self.above.contains(&number))
    }

    /// Records the arrival of news. Returns `None` if they needn't be heard.
    pub fn take(&mut self, run: u64, number: u64) -> Option<Arrival> {
        if !self.is_current(run) || number <= self.low || !self.above.insert(number) {
            return None;
        }
        self.advance();
        if self.above.len() > REMEMBERED {
            self.above.pop_last();
        }
        Some(if number <= self.forgotten { Arrival::Again } else { Arrival::First })
    }

    /// Returns the number up to which the state is to be read, because news have been lost: if some up to the latest are
    /// missing, and the state has them.
    pub fn missing(&mut self, beat: &Beat) -> Option<u64> {
        let is_missing = self.is_current(beat.run) && self.low < beat.number;
        // The first number that is missing is the one behind `low`.
        (is_missing && self.low < beat.stored).then_some(beat.stored.min(beat.number))
    }

    /// Records that the state has been read after it had all words up to a number.
    pub fn know(&mut self, run: u64, number: u64) {
        if self.run == Some(run) && number > self.low {
            self.low = number;
            self.above = self.above.split_off(&number);
            self.above.remove(&number);
            self.advance();
        }
    }

    /// Forgets which numbers have arrived, because a new daemon hasn't heard them.
    pub fn forget(&mut self) {
        let last = self.above.last().copied().unwrap_or_default();
        self.forgotten = self.forgotten.max(self.low).max(last);
        (self.low, self.above) = (0, BTreeSet::new());
    }

    /// Raises `low` to the last of the numbers that follow it without a gap.
    fn advance(&mut self) {
        while let Some(next) = self.low.checked_add(1).filter(|next| self.above.remove(next)) {
            self.low = next;
        }
    }

    /// Whether a run is the current one. A run that was unknown becomes it.
    fn is_current(&mut self, run: u64) -> bool {
        if self.run == Some(run) {
            return true;
        }
        if self.earlier.contains(&run) {
            return false;
        }
        self.earlier.extend(self.run.replace(run));
        if self.earlier.len() > RUNS {
            self.earlier.pop_front();
        }
        self.forget();
        self.forgotten = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn beat(run: u64, number: u64, stored: u64) -> Beat {
        Beat { run, number, stored, sequence: stored, clock: 0 }
    }

    #[test]
    fn a_gap_is_found_once_the_state_can_fill_it() {
        let mut seen = Seen::default();
        assert_eq!(
            [1, 1, 3].map(|number| seen.take(7, number)),
            [Some(Arrival::First), None, Some(Arrival::First)]
        );
        assert_eq!(seen.missing(&beat(7, 3, 1)), None, "the state lacks it, too");
        assert_eq!(seen.missing(&beat(7, 3, 3)), Some(3));
        seen.know(7, 3);
        assert_eq!(seen.missing(&beat(7, 3, 3)), None);
        assert_eq!(seen.take(7, 2), None, "it is known");
        assert_eq!(seen.missing(&beat(7, 9, 8)), Some(8), "the last ones are lost");
    }

    #[test]
    fn a_new_run_begins_anew_and_late_messages_of_an_earlier_one_are_disregarded() {
        let mut seen = Seen::default();
        assert_eq!([7, 5].map(|run| seen.take(run, 1)), [Some(Arrival::First); 2]);
        assert_eq!(seen.take(7, 2), None, "it comes late");
        assert_eq!(seen.missing(&beat(7, 9, 9)), None);
        assert_eq!(seen.missing(&beat(5, 2, 2)), Some(2));
        seen.know(7, 99);
        assert_eq!(seen.missing(&beat(5, 2, 2)), Some(2), "another run's numbers");
    }

    #[test]
    fn the_largest_number_harms_nothing() {
        let mut seen = Seen::default();
        assert_eq!(seen.take(7, u64::MAX), Some(Arrival::First));
        assert_eq!(seen.missing(&beat(7, u64::MAX, u64::MAX)), Some(u64::MAX));
        seen.know(7, u64::MAX);
        assert_eq!([1, u64::MAX].map(|number| seen.take(7, number)), [None; 2]);
    }

    #[test]
    fn a_new_daemon_needs_all_words_again() {
        let mut seen = Seen::default();
        assert_eq!(seen.take(7, 1), Some(Arrival::First));
        seen.forget();
        // The state that it was told at first may have lacked them.
        assert_eq!(seen.missing(&beat(7, 1, 0)), None);
        assert_eq!(seen.missing(&beat(7, 1, 1)), Some(1));
        assert_eq!(seen.take(7, 1), Some(Arrival::Again));
        assert_eq!(seen.take(7, 2), Some(Arrival::First), "it hadn't arrived");
        assert_eq!(seen.take(5, 1), Some(Arrival::First), "another run's number");
    }

    proptest! {
        /// Each number is new once, in any order and repetition, and nothing is missing when all have arrived.
        #[test]
        fn every_number_is_new_once(order in prop::collection::vec(1_u64..40, 0..200)) {
            let mut seen = Seen::default();
            let mut known = BTreeSet::new();
            for number in order {
                prop_assert_eq!(seen.has(1, number), known.contains(&number));
                prop_assert_eq!(seen.take(1, number), known.insert(number).then_some(Arrival::First));
            }
            let expected = (1..=40).any(|number| !known.contains(&number)).then_some(40);
            prop_assert_eq!(seen.missing(&beat(1, 40, 40)), expected);
            prop_assert!(seen.above.len() <= REMEMBERED);
        }
    }
}
