//! When a channel may send: batches, quiet hours, digests, limits on messages.

use jiff::{Span, Timestamp, civil::Time, tz::TimeZone};

use crate::spool::Cursor;

/// Number of events at which a batch is full.
pub const FULL: usize = 100;
const DAY: i64 = 86400;

/// A channel's pace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// `BATCH`: seconds for which events are gathered.
    pub batch: i64,
    /// `RATE`: number of messages in a number of seconds.
    pub rate: Option<(usize, i64)>,
    /// `QUIET_HOURS`: start and end in local time.
    pub quiet: Option<(Time, Time)>,
    /// `DIGEST`: time of the daily message.
    pub digest: Option<Time>,
    /// `DAILY_LIMIT`: messages a day in UTC.
    pub daily: Option<u64>,
    /// `ONCE`: seconds in which a source is sent once; 0 for no limit.
    pub once: i64,
}

impl Pace {
    /// Returns the time from which a message may be sent, given the time of its first event and the number of events. A
    /// message that was begun before waits only for the limits.
    #[must_use]
    pub fn due(
        &self,
        cursor: &Cursor,
        first: Timestamp,
        count: usize,
        now: Timestamp,
        zone: &TimeZone,
    ) -> Timestamp {
        let mut due = Timestamp::from_second(cursor.not_before).unwrap_or(now);
        if cursor.sending.is_none() {
            let ready = match self.digest {
                Some(time) => next(time, first, zone),
                None if count >= FULL => first,
                None => later(first, self.batch),
            };
            due = due.max(ready);
        }
        if let Some((most, seconds)) = self.rate
            && let Some(oldest) =
                cursor.recent.len().checked_sub(most).and_then(|index| cursor.recent.get(index))
        {
            due = due.max(Timestamp::from_second(oldest.saturating_add(seconds)).unwrap_or(due));
        }
        if self.daily.is_some_and(|most| cursor.day == day(now) && cursor.today >= most) {
            due = due.max(Timestamp::from_second((day(now) + 1) * DAY).unwrap_or(due));
        }
        // Whatever is due in quiet hours waits for their end.
        let at = due.max(now);
        match self.quiet {
            Some((start, end)) if is_within(start, end, at.to_zoned(zone.clone()).time()) => {
                next(end, at, zone)
            }
            _ => due,
        }
    }

    /// Notes that a message was sent.
    pub fn sent(&self, cursor: &mut Cursor, sources: &[String], now: Timestamp) {
        let second = now.as_second();
        if let Some((most, _)) = self.rate {
            cursor.recent.push(second);
            let old = cursor.recent.len().saturating_sub(most);
            cursor.recent.drain(..old);
        }
        if cursor.day != day(now) {
            (cursor.day, cursor.today) = (day(now), 0);
        }
        cursor.today += 1;
        if self.once > 0 {
            cursor.sources.retain(|_, sent| (second - self.once..=second).contains(sent));
            cursor.sources.extend(sources.iter().map(|source| (source.clone(), second)));
        }
    }

    /// Whether an event about `source` at `time` is a repetition. It doesn't depend on the present time, so another attempt
    /// at a message has the same events.
    #[must_use]
    pub fn is_repeated(&self, cursor: &Cursor, source: &str, time: Timestamp) -> bool {
        let since = time.as_second() - self.once;
        self.once > 0 && cursor.sources.get(source).is_some_and(|sent| *sent > since)
    }
}

/// Returns the number of the day in UTC.
fn day(now: Timestamp) -> i64 {
    now.as_second().div_euclid(DAY)
}

fn later(time: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_second(time.as_second().saturating_add(seconds)).map_or(time, |moved| moved.max(time))
}

/// Whether `time` is from `start` to before `end`, possibly over midnight.
fn is_within(start: Time, end: Time, time: Time) -> bool {
    if start <= end { (start..end).contains(&time) } else { time >= start || time < end }
}

/// Returns when it is next `time` behind `after`. A time that the day lacks, as clocks are set forward, is moved.
fn next(time: Time, after: Timestamp, zone: &TimeZone) -> Timestamp {
    let today = after.to_zoned(zone.clone()).date();
    let days = (0..3).filter_map(|days| today.checked_add(Span::new().days(days)).ok());
    let times = days.filter_map(|date| zone.to_timestamp(date.to_datetime(time)).ok());
    times.into_iter().find(|found| *found > after).unwrap_or(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-23T{text}Z").parse().unwrap()
    }

    fn time(text: &str) -> Time {
        text.parse().unwrap()
    }

    fn due(pace: &Pace, cursor: &Cursor, first: &str, count: usize, now: &str) -> String {
        let due = pace.due(cursor, at(first), count, at(now), &TimeZone::UTC);
        due.to_string().replace("2026-11-23T", "").replace('Z', "")
    }

    #[test]
    fn a_batch_is_sent_after_its_time_or_when_it_is_full() {
        let pace = Pace { batch: 60, ..Pace::default() };
        assert_eq!(due(&pace, &Cursor::default(), "09:00:00", 1, "09:00:01"), "09:01:00");
        assert_eq!(due(&pace, &Cursor::default(), "09:00:00", FULL, "09:00:01"), "09:00:00");
        let begun = Cursor { sending: Some(7), ..Cursor::default() };
        assert!(due(&pace, &begun, "09:00:00", 1, "09:00:01").starts_with("1970"), "it was due before");
    }

    #[test]
    fn limits_count_messages() {
        let pace = Pace { rate: Some((2, 3600)), daily: Some(3), ..Pace::default() };
        let mut cursor = Cursor::default();
        for (now, expected) in [("09:00:00", "09:00:00"), ("09:10:00", "09:00:00"), ("10:20:00", "10:00:00")]
        {
            assert_eq!(due(&pace, &cursor, "09:00:00", 1, now), expected);
            pace.sent(&mut cursor, &[], at(now));
        }
        assert_eq!(due(&pace, &cursor, "09:00:00", 1, "10:30:00"), "2026-11-24T00:00:00");
        let next_day =
            pace.due(&cursor, at("09:00:00"), 1, "2026-11-24T00:00:01Z".parse().unwrap(), &TimeZone::UTC);
        assert_eq!(next_day, at("10:10:00"));
    }

    #[test]
    fn quiet_hours_hold_messages_back_over_midnight() {
        let pace = Pace { quiet: Some((time("22:00"), time("07:00"))), ..Pace::default() };
        for (now, expected) in
            [("21:59:59", "21:00:00"), ("22:00:00", "2026-11-24T07:00:00"), ("06:00:00", "07:00:00")]
        {
            let first = if now < "07" { "06:00:00" } else { "21:00:00" };
            assert_eq!(due(&pace, &Cursor::default(), first, 1, now), expected, "{now}");
        }
    }

    #[test]
    fn a_digest_is_sent_once_a_day() {
        let pace = Pace { digest: Some(time("08:00")), ..Pace::default() };
        assert_eq!(due(&pace, &Cursor::default(), "07:59:00", 900, "07:59:30"), "08:00:00");
        assert_eq!(due(&pace, &Cursor::default(), "08:00:00", 1, "09:00:00"), "2026-11-24T08:00:00");
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        // Clocks are set forward at 02:00.
        let pace = Pace { digest: Some(time("02:30")), ..Pace::default() };
        let first = "2026-03-28T22:00:00Z".parse().unwrap();
        let sent = pace.due(&Cursor::default(), first, 1, first, &zone);
        assert_eq!(sent.to_string(), "2026-03-29T01:30:00Z");
    }

    #[test]
    fn a_source_is_sent_once_in_a_while() {
        let pace = Pace { once: 900, ..Pace::default() };
        let mut cursor = Cursor::default();
        pace.sent(&mut cursor, &["192.0.2.9".into()], at("09:00:00"));
        assert!(pace.is_repeated(&cursor, "192.0.2.9", at("09:14:59")));
        assert!(!pace.is_repeated(&cursor, "192.0.2.9", at("09:15:00")));
        assert!(!pace.is_repeated(&cursor, "192.0.2.10", at("09:00:00")));
        pace.sent(&mut cursor, &[], at("10:00:00"));
        assert!(cursor.sources.is_empty());
    }
}
