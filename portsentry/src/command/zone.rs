//! The time zone of a command's output: `--utc`, `TZ`, or the system's.

use std::{env, time::SystemTime};

use jiff::{Timestamp, tz::TimeZone};

use super::table;
use crate::instant::stamp;

/// Other names of UTC.
const UTC: [&str; 7] = ["Etc/UTC", "Etc/UCT", "UCT", "Etc/Universal", "Universal", "Etc/Zulu", "Zulu"];

/// A time zone with its name.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    zone: TimeZone,
    name: String,
}

impl Zone {
    /// Returns UTC if `is_utc`, otherwise the zone of this process. Reports an unknown `TZ` on standard error.
    pub(super) fn new(is_utc: bool) -> Self {
        let setting = env::var_os("TZ").filter(|setting| !setting.is_empty());
        let setting = setting.map(|setting| setting.to_string_lossy().into_owned());
        let found = if is_utc { Ok(TimeZone::UTC) } else { TimeZone::try_system() };
        match (found, &setting) {
            (Ok(zone), setting) if !zone.is_unknown() => Self { name: name(&zone, setting.as_deref()), zone },
            (_, Some(setting)) => {
                eprintln!(
                    "portsentry: TZ=\"{}\" is not a time zone; times are in UTC",
                    table::plain(setting)
                );
                Self::utc()
            }
            (_, None) => Self::utc(),
        }
    }

    /// Returns UTC.
    pub(super) fn utc() -> Self {
        Self { zone: TimeZone::UTC, name: "UTC".into() }
    }

    /// Returns its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the time zone.
    pub(super) const fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Returns a column's heading with the zone's name.
    pub(super) fn heading(&self, word: &str) -> String {
        format!("{word} ({})", self.name)
    }

    /// Formats a time in whole seconds.
    pub(super) fn show(&self, time: SystemTime) -> String {
        stamp(time).to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// Formats a time in RFC 3339 with milliseconds. Other texts stay.
    pub(super) fn show_exactly(&self, text: &str) -> String {
        let time = text.parse::<Timestamp>();
        time.map_or_else(
            |_| text.to_owned(),
            |time| time.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S.%3f").to_string(),
        )
    }
}

/// Returns the name of `zone`: as the database has it, or else as `TZ` is set, or else its offset now.
fn name(zone: &TimeZone, setting: Option<&str>) -> String {
    let known = zone.iana_name().or(setting).map(|name| if UTC.contains(&name) { "UTC" } else { name });
    known.map_or_else(|| format!("UTC{}", zone.to_offset(Timestamp::now())), table::plain)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(zone: TimeZone, setting: Option<&str>) -> Zone {
        Zone { name: name(&zone, setting), zone }
    }

    #[test]
    fn zones_have_names() {
        let fixed = TimeZone::fixed(jiff::tz::offset(5));
        let posix = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        assert_eq!(at(TimeZone::UTC, None).heading("SINCE"), "SINCE (UTC)");
        assert_eq!(at(fixed.clone(), None).name(), "UTC+05");
        assert_eq!(at(fixed, Some("<+05>-5")).name(), "<+05>-5");
        assert_eq!(at(posix, Some("CET-1CEST,M3.5.0,M10.5.0/3")).name(), "CET-1CEST,M3.5.0,M10.5.0/3");
    }

    #[test]
    fn times_are_on_the_zones_clock() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_389_178_999);
        let zone = at(TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap(), None);
        assert_eq!(Zone::utc().show(time), "2026-11-22 23:12:59");
        assert_eq!(zone.show(time), "2026-11-23 00:12:59");
        assert_eq!(zone.show_exactly("2026-07-23T06:36:19.123Z"), "2026-07-23 08:36:19.123");
        assert_eq!(zone.show_exactly("once"), "once");
    }
}
