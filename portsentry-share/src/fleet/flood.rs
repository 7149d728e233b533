//! Bounds the messages of a gateway that floods: they would delay those of others, which stand behind them in the same connection.
//! Each subscription has a number of messages after which the server itself ends it, so that no more of them are on their way. It
//! is renewed before that, or a while later if there were too many in too short a time. The fleet's state still has the gateway's words.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use tokio::time::Instant;

/// Multiple of the rate of news from which on a gateway floods. It repeats its news, and sends several seconds' at once.
const EXCESS: u32 = 20;
/// Number of messages at a time that are never a flood.
const LEAST: u32 = 2000;
/// Minimum time from one subscription to the next one. A busy machine takes a second for a flood's messages that arrived within a moment.
const INTERVAL: Duration = Duration::from_secs(5);

/// A connection, and the position of a subscription in it.
pub type Place = (usize, u64);

/// What is due after a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// The subscription is to be renewed.
    Renewal,
    /// Nothing: there are too many, and it is renewed later.
    Pause,
}

/// The numbers of messages, by subscription.
#[derive(Debug)]
pub struct Floods {
    limit: u32,
    /// Start of each subscription, and the number of messages since.
    counts: HashMap<Place, (Instant, u32)>,
    /// Number of renewals.
    renewals: HashMap<Place, u64>,
    /// Subscriptions that are to be renewed, with the times.
    paused: BTreeMap<Place, Instant>,
}

impl Floods {
    /// Creates the counts, for gateways with this number of words per second as news.
    #[must_use]
    pub fn new(rate: u32) -> Self {
        let limit = rate.saturating_mul(EXCESS).max(LEAST);
        Self { limit, counts: HashMap::new(), renewals: HashMap::new(), paused: BTreeMap::new() }
    }

    /// Returns the number of messages after which the server ends a subscription.
    #[must_use]
    pub const fn most(&self) -> u32 {
        self.limit.saturating_add(self.limit / 4)
    }

    /// Forgets a connection's subscriptions, because another connection takes its place.
    pub fn forget(&mut self, connection: usize) {
        self.counts.retain(|(of, _), _| *of != connection);
        self.renewals.retain(|(of, _), _| *of != connection);
        self.paused.retain(|(of, _), _| *of != connection);
    }

    /// Counts a message.
    pub fn count(&mut self, place: Place, now: Instant) -> Due {
        let (since, count) = self.counts.entry(place).or_insert((now, 0));
        *count += 1;
        if *count != self.limit {
            return Due::Nothing;
        }
        let next = *since + INTERVAL;
        if now >= next {
            return Due::Renewal;
        }
        self.paused.insert(place, next);
        Due::Pause
    }

    /// Records a renewal. Returns the numbers of renewals before and after it.
    pub fn renew(&mut self, place: Place, now: Instant) -> (u64, u64) {
        self.counts.insert(place, (now, 0));
        self.paused.remove(&place);
        let renewals = self.renewals.entry(place).or_default();
        *renewals += 1;
        (*renewals - 1, *renewals)
    }

    /// Has a subscription renewed as soon as possible.
    pub fn postpone(&mut self, place: Place, now: Instant) {
        self.paused.insert(place, now);
    }

    /// Returns the subscriptions that are to be renewed now.
    #[must_use]
    pub fn due(&self, now: Instant) -> Vec<Place> {
        self.paused.iter().filter(|(_, end)| **end <= now).map(|(place, _)| *place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_pauses_its_subscription_and_no_other() {
        let mut floods = Floods::new(100);
        let begun = Instant::now();
        for _ in 1..LEAST {
            assert_eq!(floods.count((0, 2), begun), Due::Nothing);
        }
        assert_eq!(floods.count((0, 2), begun), Due::Pause);
        for (place, why) in
            [((0, 2), "it is on its way"), ((1, 2), "the other connection"), ((0, 3), "another")]
        {
            assert_eq!(floods.count(place, begun), Due::Nothing, "{why}");
        }
        assert_eq!(floods.due(begun + INTERVAL / 2), []);
        // The machine is busy.
        for number in 1..=LEAST {
            let due = floods.count((0, 4), begun + INTERVAL * 4 / 5);
            assert_eq!(due, if number == LEAST { Due::Pause } else { Due::Nothing });
        }
        assert_eq!(floods.renew((0, 4), begun + INTERVAL * 4 / 5), (0, 1));
        assert_eq!(floods.due(begun + INTERVAL), [(0, 2)]);
        assert_eq!(floods.due(begun + INTERVAL), [(0, 2)], "until it is renewed");
        assert_eq!(floods.renew((0, 2), begun + INTERVAL), (0, 1));
        assert_eq!(floods.due(begun + INTERVAL), []);
        assert_eq!(floods.most(), 2500);
    }

    #[test]
    fn a_subscription_is_renewed_before_its_end() {
        let mut floods = Floods::new(100);
        let begun = Instant::now();
        for renewals in 0..3 {
            for number in 1..=LEAST {
                let last = if number == LEAST { INTERVAL } else { Duration::ZERO };
                let due = floods.count((0, 2), begun + last + 2 * INTERVAL * renewals);
                assert_eq!(due, if number == LEAST { Due::Renewal } else { Due::Nothing });
            }
            let expected = (u64::from(renewals), u64::from(renewals) + 1);
            assert_eq!(floods.renew((0, 2), begun + 2 * INTERVAL * (renewals + 1)), expected);
        }
        floods.postpone((0, 2), begun);
        floods.forget(1);
        assert_eq!(floods.due(begun), [(0, 2)]);
        floods.forget(0);
        assert_eq!((floods.due(begun), floods.renew((0, 2), begun)), (vec![], (0, 1)));
    }

    #[test]
    fn a_gateway_at_its_rate_with_all_repetitions_does_not_flood() {
        let mut floods = Floods::new(1000);
        let begun = Instant::now();
        // Five seconds' news at once, and two repetitions of each within a second.
        for _ in 0..15_000 {
            assert_eq!(floods.count((0, 2), begun), Due::Nothing);
        }
    }
}
