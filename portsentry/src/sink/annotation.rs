//! The annotation on an administrator's line in the blocked file, after `#`: end of the block, and reason. Other
//! PortSentrys, and older versions of this one, read it as a comment.

use std::{fmt, time::SystemTime};

use jiff::Timestamp;

/// Maximum length of a reason, in characters.
pub const LONGEST: usize = 200;

/// End and reason of an administrator's block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotation {
    /// The end in whole seconds, or `None` for a permanent block.
    pub until: Option<SystemTime>,
    /// The reason in the administrator's own words.
    pub reason: Option<String>,
}

impl Annotation {
    /// Reads the text behind a line's `#`: `until TIME`, `because "REASON"`, or both. Anything else is a comment.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let text = text.trim();
        let (until, rest) =
            match text.strip_prefix("until ").map(|rest| rest.split_once(' ').unwrap_or((rest, ""))) {
                Some((time, rest)) => (time.parse::<Timestamp>().ok().map(SystemTime::from), rest),
                None => (None, text),
            };
        // Quoted as in JSON, so that no reason can end the line.
        let reason =
            rest.trim().strip_prefix("because ").and_then(|quoted| serde_json::from_str(quoted).ok());
        Self { until, reason: reason.map(|reason: String| shortened(&reason)) }
    }

    /// Whether there is no annotation.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.until.is_none() && self.reason.is_none()
    }
}

/// Writes the annotation for the end of a line, with the `#`. Writes nothing if it is empty.
impl fmt::Display for Annotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return Ok(());
        }
        f.write_str(" #")?;
        if let Some(until) = self.until.and_then(|until| Timestamp::try_from(until).ok()) {
            write!(f, " until {}", until.strftime("%Y-%m-%dT%H:%M:%SZ"))?;
        }
        match &self.reason {
            Some(reason) => write!(f, " because {}", serde_json::Value::from(reason.as_str())),
            None => Ok(()),
        }
    }
}

/// Returns the beginning of `reason`, without unprintable characters.
#[must_use]
pub fn shortened(reason: &str) -> String {
    reason.chars().filter(|character| !character.is_control()).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn remarks_are_told_from_comments() {
        let noon = SystemTime::from("2026-11-23T12:00:00Z".parse::<Timestamp>().unwrap());
        for (text, until, reason) in [
            (" until 2026-11-23T12:00:00Z", Some(noon), None),
            ("until 2026-11-23T13:00:00+01:00", Some(noon), None),
            (r#" because "a \"guest\" # or two""#, None, Some("a \"guest\" # or two")),
            (
                r#" until 2026-11-23T12:00:00Z because "he \u001b[31m asked""#,
                Some(noon),
                Some("he [31m asked"),
            ),
            (" until 2026-11-23T12:00:00Z because \"torn", Some(noon), None),
            (" until 2026-11-23T12:00:00", None, None),
            (" until further notice", None, None),
            (" because I say so", None, None),
            (" a guest", None, None),
            ("", None, None),
        ] {
            assert_eq!(
                Annotation::read(text),
                Annotation { until, reason: reason.map(Into::into) },
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(second in prop::option::of(0..4_000_000_000_u64), reason in prop::option::of(".{0,300}")) {
            let until = second.map(|second| SystemTime::UNIX_EPOCH + Duration::from_secs(second));
            let remark = Annotation { until, reason: reason.as_deref().map(shortened) };
            let line = remark.to_string();
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(Annotation::read(line.trim_start_matches(" #")), remark);
        }
    }
}
