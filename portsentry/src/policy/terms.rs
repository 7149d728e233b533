//! Durations of blocks and fences: longer for repeat offenders.

use std::{
    num::NonZeroUsize,
    time::{Duration, SystemTime},
};

use ipnet::IpNet;
use lru::LruCache;
use portsentry_common::block::Proof;

use super::Hold;

/// Maximum number of sources whose earlier blocks are remembered. The least recent are forgotten first.
const SOURCES: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();

/// Durations of blocks and fences.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// `BLOCK_TIME`; zero means permanent.
    pub block: Duration,
    /// `BLOCK_TIME_FACTOR`: factor for each further block of a source.
    pub factor: u32,
    /// `MAX_BLOCK_TIME`; zero means no limit.
    pub longest: Duration,
    /// `FENCE_TIME`.
    pub fence: Duration,
}

impl Terms {
    /// Returns the end of `hold`, if its source has been blocked `times` times. An administrator's block lasts until
    /// its own end, or until it is removed.
    #[must_use]
    pub fn until(&self, hold: &Hold, times: u32) -> Option<SystemTime> {
        if hold.proof == Proof::Administrator && !hold.is_fence {
            return hold.until;
        }
        let term = if hold.is_fence { self.fence } else { self.block_for(times) };
        if hold.is_fence || !term.is_zero() { hold.since.checked_add(term) } else { None }
    }

    /// Whether the block of a source blocked `times` times is longer than its first.
    #[must_use]
    pub fn lengthens(&self, times: u32) -> bool {
        self.block_for(times) > self.block
    }

    /// Returns the duration of a block whose source has been blocked `times` times.
    #[must_use]
    pub fn block_for(&self, times: u32) -> Duration {
        let longest = if self.longest.is_zero() { Duration::MAX } else { self.longest.max(self.block) };
        let factor = self.factor.checked_pow(times.saturating_sub(1));
        let term = factor.and_then(|factor| self.block.checked_mul(factor));
        term.unwrap_or(Duration::MAX).min(longest)
    }
}

/// Number of blocks of each network.
#[derive(Debug)]
pub struct Offences(LruCache<IpNet, u32>);

impl Default for Offences {
    fn default() -> Self {
        Self(LruCache::new(SOURCES))
    }
}

impl Offences {
    /// Counts a block of `network`, and returns the number of its blocks.
    pub fn add(&mut self, network: IpNet) -> u32 {
        let times = self.0.get_or_insert_mut(network, || 0);
        *times = times.saturating_add(1);
        *times
    }

    /// Returns the number of blocks of a network.
    #[must_use]
    pub fn of(&self, network: IpNet) -> u32 {
        self.0.peek(&network).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use portsentry_common::classify::Protocol;

    use super::*;

    const fn terms(block: u64, factor: u32, longest: u64) -> Terms {
        let [block, longest, fence] =
            [Duration::from_secs(block), Duration::from_secs(longest), Duration::from_secs(5)];
        Terms { block, factor, longest, fence }
    }

    #[test]
    fn each_block_is_longer_than_the_last_up_to_a_bound() {
        for (terms, times, expected) in [
            (terms(60, 1, 0), 9, 60),
            (terms(60, 4, 0), 0, 60),
            (terms(60, 4, 0), 1, 60),
            (terms(60, 4, 0), 2, 240),
            (terms(60, 4, 0), 3, 960),
            (terms(60, 4, 500), 3, 500),
            (terms(60, 4, 500), u32::MAX, 500),
            (terms(60, 4, 10), 1, 60),
            (terms(0, 4, 500), 3, 0),
            // As shipped: an hour, two, four, up to 30 days.
            (terms(3600, 2, 2_592_000), 1, 3600),
            (terms(3600, 2, 2_592_000), 2, 7200),
            (terms(3600, 2, 2_592_000), 10, 512 * 3600),
            (terms(3600, 2, 2_592_000), 11, 2_592_000),
            (terms(3600, 2, 2_592_000), 1000, 2_592_000),
        ] {
            assert_eq!(terms.block_for(times), Duration::from_secs(expected), "{terms:?}, {times} times");
            assert_eq!(terms.lengthens(times), times > 1 && expected > terms.block.as_secs());
        }
    }

    #[test]
    fn fences_and_an_administrators_blocks_have_their_own_ends() {
        let since = SystemTime::UNIX_EPOCH;
        let at = |second| Some(since + Duration::from_secs(second));
        let hold = Hold::for_good(since, 1, Protocol::Tcp);
        let terms = terms(60, 2, 0);
        let asked = |until| Hold { until, proof: Proof::Administrator, ..hold };
        for (hold, expected) in [
            (hold, at(120)),
            (Hold { is_fence: true, ..hold }, at(5)),
            (asked(None), None),
            (asked(at(7)), at(7)),
        ] {
            assert_eq!(terms.until(&hold, 2), expected, "{hold:?}");
        }
        assert_eq!(self::terms(0, 2, 0).until(&hold, 2), None);
    }

    #[test]
    fn offences_are_counted_for_each() {
        let [a, b] = [1, 2].map(|last| IpNet::from(std::net::IpAddr::from([192, 0, 2, last])));
        let mut offences = Offences::default();
        assert_eq!([offences.add(a), offences.add(a), offences.add(b)], [1, 2, 1]);
        assert_eq!([offences.of(a), offences.of(b), offences.of("192.0.2.3/32".parse().unwrap())], [2, 1, 0]);
    }
}
