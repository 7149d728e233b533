//! Times in formats for programs.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time, serialised for programs as RFC 3339, in UTC and whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub SystemTime);

impl Time {
    /// Returns the current time.
    #[must_use]
    pub fn now() -> Self {
        Self(SystemTime::now())
    }
}

impl Time {
    /// Returns `time` in whole seconds, rounded down.
    #[must_use]
    pub fn whole(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs()))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&universal(self.0))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time: Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Self(time.into()))
    }
}

/// Formats a time for programs (RFC 3339), in whole seconds.
#[must_use]
pub fn universal(time: SystemTime) -> String {
    stamp(time).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Rounds to the second: a block's times come from the kernel's clock, and differ slightly at each conversion.
#[must_use]
pub fn stamp(time: SystemTime) -> Timestamp {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    time.round(jiff::Unit::Second).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_seconds() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_389_178_999);
        assert_eq!(universal(time), "2026-11-22T23:12:59Z");
        let text = serde_json::to_string(&Time(time)).unwrap();
        let read: Time = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }
}
