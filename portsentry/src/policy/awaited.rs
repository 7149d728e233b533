//! Sources whose verdict awaits the answers to their first contacts.

use std::{
    collections::{HashSet, VecDeque},
    time::{Duration, Instant},
};

use ipnet::IpNet;
use portsentry_common::scan::suspect::OPEN;

use super::Sighting;

/// Time after which no answer is awaited any more, and a moment for clocks of coarse resolution.
const WAIT: Duration = Duration::from_secs(2 * OPEN as u64 + 1);
/// Maximum number of sources. Others are judged at their next failure only.
const MOST: usize = 16_384;

/// The sources, by the time when they are due.
#[derive(Debug, Default)]
pub struct Awaited {
    due: VecDeque<(Instant, Sighting)>,
    sources: HashSet<IpNet>,
}

impl Awaited {
    /// Adds the source of a failed contact at `now`, unless it is already there.
    pub fn add(&mut self, sighting: Sighting, now: Instant) {
        if self.sources.len() < MOST && self.sources.insert(sighting.network()) {
            self.due.push_back((now + WAIT, sighting));
        }
    }

    /// Returns the number of sources.
    #[must_use]
    pub fn count(&self) -> usize {
        self.sources.len()
    }

    /// Removes and returns the next source that is due at `now`.
    pub fn next_due(&mut self, now: Instant) -> Option<Sighting> {
        let (_, sighting) = self.due.pop_front_if(|(due, _)| *due <= now)?;
        self.sources.remove(&sighting.network());
        Some(sighting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::sample_sighting;

    #[test]
    fn a_source_is_due_once_no_answer_is_awaited() {
        let (mut awaited, start) = (Awaited::default(), Instant::now());
        let of = |last: u8| Sighting { source: [192, 0, 2, last].into(), ..sample_sighting() };
        awaited.add(of(1), start);
        awaited.add(of(1), start + WAIT / 2);
        awaited.add(of(2), start + WAIT / 2);
        assert_eq!(awaited.next_due(start + Duration::from_secs(2 * u64::from(OPEN))), None);
        assert_eq!(awaited.next_due(start + WAIT), Some(of(1)), "the first contact decides");
        assert_eq!(awaited.next_due(start + WAIT), None, "once");
        awaited.add(of(1), start + WAIT);
        assert_eq!(awaited.count(), 2);
        assert_eq!(awaited.next_due(start + 2 * WAIT), Some(of(2)));
        assert_eq!(awaited.next_due(start + 2 * WAIT), Some(of(1)), "it may wait again");
        assert_eq!(awaited.count(), 0);
    }

    #[test]
    fn no_more_sources_wait_than_memory_allows() {
        let (mut awaited, start) = (Awaited::default(), Instant::now());
        for number in 0..u32::try_from(MOST).unwrap() + 5 {
            let source = std::net::Ipv4Addr::from_bits(0x0a00_0000 + number).into();
            awaited.add(Sighting { source, ..sample_sighting() }, start);
        }
        assert_eq!((awaited.due.len(), awaited.sources.len()), (MOST, MOST));
    }
}
