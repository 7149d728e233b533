//! Times on the command line, absolute or before now.

use jiff::{Span, Timestamp, Zoned, civil::DateTime, tz::TimeZone};

/// A time, which may depend on the time zone.
#[derive(Clone, Copy, Debug)]
pub enum Since {
    /// A time with its zone.
    At(Timestamp),
    /// A time without a zone.
    Local(DateTime),
    /// A duration before now.
    Ago(Span),
}

/// Reads a time, or a duration before now.
pub(super) fn since(text: &str) -> Result<Since, String> {
    let exact = || text.parse().ok().map(Since::At);
    let local = || text.parse().ok().map(Since::Local);
    let ago = || {
        let span = text.parse::<Span>().ok()?.abs();
        // Too long ago otherwise.
        Zoned::now().checked_sub(span).is_ok().then_some(Since::Ago(span))
    };
    exact().or_else(local).or_else(ago).ok_or_else(|| {
        "write a time such as 2026-11-23, 2026-11-23T10:00 or 2026-11-23T10:00Z, or how long ago: 2h, 3days".into()
    })
}

impl Since {
    /// Returns the time. `zone` is that of times without one, and decides how long a day is.
    #[must_use]
    pub fn resolve(self, zone: &TimeZone) -> Timestamp {
        self.before(&Timestamp::now().to_zoned(zone.clone()))
    }

    fn before(self, now: &Zoned) -> Timestamp {
        match self {
            Self::At(time) => time,
            // Fails only at the ends of jiff's time line.
            Self::Local(time) => {
                time.to_zoned(now.time_zone().clone()).map_or(Timestamp::MIN, |time| time.timestamp())
            }
            Self::Ago(span) => now.checked_sub(span).map_or(Timestamp::MIN, |time| time.timestamp()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_times_or_how_long_ago() {
        let now: Zoned = "2026-11-23T12:00:00+01:00[+01:00]".parse().unwrap();
        for (text, expected) in [
            ("2026-11-23T10:00:00Z", Some("2026-11-23T10:00:00Z")),
            ("2026-11-23T10:00", Some("2026-11-23T09:00:00Z")),
            ("2026-11-23 10:00:30", Some("2026-11-23T09:00:30Z")),
            ("2026-11-23", Some("2026-11-22T23:00:00Z")),
            ("2h", Some("2026-11-23T09:00:00Z")),
            ("3days", Some("2026-11-20T11:00:00Z")),
            ("1d 2h", Some("2026-11-22T09:00:00Z")),
            ("yesterday", None),
            ("", None),
            ("100000 years", None),
        ] {
            let expected = expected.map(|text| text.parse::<Timestamp>().unwrap());
            assert_eq!(since(text).ok().map(|since| since.before(&now)), expected, "{text}");
        }
    }
}
