//! Which of many peers' blocks are logged one by one. The others are only counted.

use std::time::{Duration, Instant};

/// Number of changes per second that are logged one by one.
const NAMED: usize = 50;
const SECOND: Duration = Duration::from_secs(1);

/// The changes of the current second.
#[derive(Debug)]
pub(super) struct Naming {
    since: Instant,
    named: usize,
    /// Numbers of entries and of releases that were only counted.
    counted: [usize; 2],
}

impl Naming {
    pub(super) const fn new(now: Instant) -> Self {
        Self { since: now, named: 0, counted: [0; 2] }
    }

    /// Whether an entry or a release is logged. Counts it otherwise.
    pub(super) fn names(&mut self, is_entry: bool, now: Instant) -> bool {
        if now.duration_since(self.since) >= SECOND {
            (self.since, self.named) = (now, 0);
        }
        let names = self.named < NAMED;
        if names {
            self.named += 1;
        } else {
            self.counted[usize::from(!is_entry)] += 1;
        }
        names
    }

    /// Returns the messages about those that were only counted.
    pub(super) fn messages(&mut self) -> impl Iterator<Item = String> {
        let counted = std::mem::take(&mut self.counted).into_iter().zip(["blocked or fenced", "released"]);
        counted
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} more hosts {what}, as other gateways say"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_second_are_named_and_the_others_counted() {
        let begun = Instant::now();
        let mut naming = Naming::new(begun);
        let named = |naming: &mut Naming, now| (0..60).filter(|_| naming.names(true, now)).count();
        assert_eq!(named(&mut naming, begun), NAMED);
        assert!(!naming.names(false, begun));
        assert_eq!(
            naming.messages().collect::<Vec<_>>(),
            [
                "10 more hosts blocked or fenced, as other gateways say",
                "1 more hosts released, as other gateways say"
            ]
        );
        assert_eq!(naming.messages().count(), 0);
        assert_eq!(named(&mut naming, begun + SECOND), NAMED);
    }
}
