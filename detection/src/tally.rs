//! The failed pairs of sources up to the finds of some rules.

use std::collections::{HashMap, HashSet};

use crate::{event::Event, network::Pair};

/// All sources, with the finds of as many rules.
#[derive(Debug, Default)]
pub struct Tally<const RULES: usize> {
    /// The sources by their numbers.
    pub sources: HashMap<u64, Source<RULES>>,
}

/// A source's record.
#[derive(Debug)]
pub struct Source<const RULES: usize> {
    failed: HashSet<Pair>,
    /// The number of failed pairs after which each rule first took it for a scanner.
    pub found: [Option<u32>; RULES],
}

impl<const RULES: usize> Source<RULES> {
    /// Returns the number of its failed pairs.
    pub fn failed(&self) -> u32 {
        u32::try_from(self.failed.len()).unwrap_or(u32::MAX)
    }
}

impl<const RULES: usize> Tally<RULES> {
    /// Adds an event, and which rules take its source for a scanner now.
    pub fn add(&mut self, event: &Event, finds: [bool; RULES]) {
        let new = || Source { failed: HashSet::new(), found: [None; RULES] };
        let source = self.sources.entry(event.source).or_insert_with(new);
        if event.has_failed() {
            source.failed.insert(event.pair);
        }
        let failed = source.failed();
        for (found, finds) in source.found.iter_mut().zip(finds) {
            if finds {
                found.get_or_insert(failed);
            }
        }
    }

    /// Returns the sorted numbers of failed pairs after which each rule found sources.
    pub fn found(&self) -> [Vec<u32>; RULES] {
        std::array::from_fn(|rule| {
            let mut found: Vec<_> = self.sources.values().filter_map(|source| source.found[rule]).collect();
            found.sort_unstable();
            found
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_find_counts_the_distinct_failed_pairs_up_to_it() {
        let mut tally = Tally::<2>::default();
        for (source, port, finds) in [
            (1, 22, [false, false]),
            (1, 22, [false, false]),
            (1, 23, [true, false]),
            (1, 24, [true, true]),
            (2, 22, [true, false]),
        ] {
            tally.add(&Event::silent(1, source, (0, port)), finds);
        }
        assert_eq!(tally.found(), [vec![1, 2], vec![3]]);
        assert_eq!(tally.sources[&1].failed(), 3);
    }
}
