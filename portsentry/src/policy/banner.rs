//! Limits on `PORT_BANNER` as an answer to datagrams, whose source may be spoofed.

use portsentry_common::{environment::RateLimit, settings::Settings, token_bucket::TokenBuckets};

/// The banner, and its rate limit.
#[derive(Debug)]
pub struct Banner {
    text: Vec<u8>,
    limits: Settings,
    buckets: TokenBuckets,
}

impl Banner {
    /// Creates the banner of `text`, if there is one, for `rate` datagrams a second (`CHALLENGE_RATE`).
    #[must_use]
    pub fn new(text: Option<&str>, rate: u32) -> Self {
        Self {
            // The text is unchanged: neither PortSentry adds a line end.
            text: text.unwrap_or_default().into(),
            limits: Settings { challenge_rate: rate, ..Settings::UNSET }.paced(),
            buckets: TokenBuckets::default(),
        }
    }

    /// Returns the whole text, for connections; empty if there is none.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Returns the answer to a datagram with `received` bytes of data, or an empty one for no answer. `now_ns` is
    /// the time in nanoseconds since any fixed moment. The answer is always shorter than the datagram, so that two
    /// traps can't answer each other without end.
    pub fn answer(&mut self, received: usize, now_ns: u64) -> &[u8] {
        let length = self.text.len().min(received.saturating_sub(1));
        let may = length > 0 && self.buckets.try_acquire(RateLimit::Answer, &self.limits, now_ns);
        &self.text[..if may { length } else { 0 }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn an_answer_is_shorter_than_what_it_answers() {
        let mut banner = Banner::new(Some("GO AWAY"), 1000);
        assert_eq!(banner.text(), b"GO AWAY");
        for received in 0..100 {
            let answer = banner.answer(received, SECOND);
            assert_eq!(answer, &b"GO AWAY"[..received.saturating_sub(1).min(7)], "{received}");
        }
        assert_eq!(Banner::new(None, 1000).answer(100, SECOND), b"");
    }

    #[test]
    fn no_more_are_answered_than_the_rate() {
        let mut banner = Banner::new(Some("GO AWAY"), 10);
        let mut answered = |now_ns| (0..3000).filter(|_| !banner.answer(100, now_ns).is_empty()).count();
        assert_eq!([answered(SECOND), answered(SECOND), answered(SECOND + SECOND / 2)], [10, 0, 5]);
    }

    #[test]
    fn what_is_too_short_to_answer_costs_nothing_of_the_rate() {
        let mut banner = Banner::new(Some("GO AWAY"), 1);
        assert_eq!(banner.answer(1, SECOND), b"");
        assert_eq!(banner.answer(0, SECOND), b"");
        assert_eq!(banner.answer(3, SECOND), b"GO");
    }
}
