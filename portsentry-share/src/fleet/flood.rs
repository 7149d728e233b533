//! Ends the subscription to a gateway that floods for a while: its messages would delay those of others, which stand behind them
//! in the same connection. The fleet's state still has its words.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use tokio::time::Instant;

/// Multiple of the rate of news from which on a gateway floods. It repeats its news, and sends several seconds' at once.
const EXCESS: u32 = 20;
/// Number of messages per second that are never a flood.
const LEAST: u32 = 2000;
/// Time until the subscription begins again.
const PAUSE: Duration = Duration::from_secs(5);
const SECOND: Duration = Duration::from_secs(1);

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It is taken.
    Yes,
    /// It is dropped.
    No,
    /// It is dropped, and the subscription is to end.
    Last,
}

/// The rates of messages, by connection and subscription.
#[derive(Debug)]
pub struct Floods {
    limit: u32,
    /// Start of the current second, and the number of messages in it.
    counts: HashMap<(usize, u64), (Instant, u32)>,
    /// Subscriptions that have ended, with the time at which each begins again.
    ended: BTreeMap<u64, Instant>,
}

impl Floods {
    /// Creates the counts, for gateways with this number of words per second as news.
    #[must_use]
    pub fn new(rate: u32) -> Self {
        let limit = rate.saturating_mul(EXCESS).max(LEAST);
        Self { limit, counts: HashMap::new(), ended: BTreeMap::new() }
    }

    /// Counts a message of a subscription on one of the connections.
    pub fn count(&mut self, connection: usize, subscription: u64, now: Instant) -> Admitted {
        let (since, count) = self.counts.entry((connection, subscription)).or_insert((now, 0));
        if now.duration_since(*since) >= SECOND {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        if *count <= self.limit {
            return Admitted::Yes;
        }
        // Those on their way arrive even then.
        if *count > self.limit + 1 {
            return Admitted::No;
        }
        self.ended.insert(subscription, now + PAUSE);
        Admitted::Last
    }

    /// Returns the subscriptions that begin again now.
    pub fn resume(&mut self, now: Instant) -> Vec<u64> {
        let due: Vec<u64> =
            self.ended.iter().filter(|(_, end)| **end <= now).map(|(number, _)| *number).collect();
        self.ended.retain(|_, end| *end > now);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_ends_its_subscription_once_a_second_and_no_other() {
        let mut floods = Floods::new(100);
        let begun = Instant::now();
        for _ in 0..LEAST {
            assert_eq!(floods.count(0, 2, begun), Admitted::Yes);
        }
        let counted = [floods.count(0, 2, begun), floods.count(0, 2, begun), floods.count(1, 2, begun)];
        assert_eq!(counted, [Admitted::Last, Admitted::No, Admitted::Yes], "each connection has its count");
        assert_eq!(floods.count(0, 3, begun), Admitted::Yes);
        assert_eq!(floods.count(0, 2, begun + SECOND), Admitted::Yes);
        assert_eq!(floods.resume(begun + PAUSE / 2), [0; 0]);
        assert_eq!(floods.resume(begun + PAUSE), [2]);
        assert_eq!(floods.resume(begun + PAUSE), [0; 0]);
    }

    #[test]
    fn a_gateway_at_its_rate_with_all_repetitions_does_not_flood() {
        let mut floods = Floods::new(1000);
        let begun = Instant::now();
        // Five seconds' news at once, and two repetitions of each within a second.
        for _ in 0..15_000 {
            assert_eq!(floods.count(0, 2, begun), Admitted::Yes);
        }
    }
}
