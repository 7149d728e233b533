//! Cache of DNS answers, limited in age and number; the least recently used are evicted.

use std::{
    net::IpAddr,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use lru::LruCache;

use super::{Answer, Name};

/// The cached name of each address, or the fact that it has none.
#[derive(Debug)]
pub(super) struct Memory {
    answers: LruCache<IpAddr, (Option<Name>, Instant)>,
    keep_name: Duration,
    keep_none: Duration,
}

impl Memory {
    /// Creates a cache of `capacity` answers (at least one). Names are kept for `keep_name`, missing names for
    /// `keep_none`.
    pub(super) fn new(capacity: usize, keep_name: Duration, keep_none: Duration) -> Self {
        let capacity = NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN);
        Self { answers: LruCache::new(capacity), keep_name, keep_none }
    }

    /// Returns the cached answer for `address`, unless it has expired.
    pub(super) fn get(&mut self, address: IpAddr, now: Instant) -> Option<Answer> {
        let (name, at) = self.answers.get(&address)?;
        let keep = if name.is_some() { self.keep_name } else { self.keep_none };
        (now.saturating_duration_since(*at) < keep).then(|| Answer::Known(name.clone()))
    }

    pub(super) fn put(&mut self, address: IpAddr, name: Option<Name>, now: Instant) {
        self.answers.put(address, (name, now));
    }

    pub(super) fn clear(&mut self) {
        self.answers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_kept_for_their_time_and_the_latest_used_ones_only() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let [one, two, three] = [1, 2, 3].map(|last| IpAddr::from([192, 0, 2, last]));
        let name = Some(Name::new(b"host.example.org").unwrap());
        let mut memory = Memory::new(2, Duration::from_secs(10), Duration::from_secs(5));
        memory.put(one, name.clone(), at(0));
        memory.put(two, None, at(0));
        for (address, seconds, expected) in [
            (one, 0, Some(name.clone())),
            (two, 0, Some(None)),
            (three, 0, None),
            (two, 4, Some(None)),
            (two, 5, None),
            (one, 9, Some(name.clone())),
            (one, 10, None),
        ] {
            assert_eq!(memory.get(address, at(seconds)), expected.map(Answer::Known), "{address} {seconds}");
        }
        memory.put(two, name.clone(), at(20));
        memory.put(one, name.clone(), at(20));
        memory.put(three, None, at(20));
        let known = [one, two, three].map(|address| memory.get(address, at(20)));
        assert_eq!(known, [Some(Answer::Known(name)), None, Some(Answer::Known(None))]);
        memory.clear();
        assert_eq!(memory.get(one, at(20)), None);
    }
}
