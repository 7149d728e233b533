//! Retries writing a file at growing intervals. The error is reported once when it begins and once when it ends.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use crate::policy::trouble::{News, Trouble};

/// Maximum pause before the next attempt to write a file.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The result of the last attempt to write a file, and the time of the next.
#[derive(Debug, Default)]
pub(super) struct Retry {
    trouble: Trouble,
    pause: Duration,
    until: Option<Instant>,
}

impl Retry {
    /// Whether it is time to try again.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now >= until)
    }

    /// Records the result of an attempt. Returns a message to log, if any.
    pub(super) fn note(
        &mut self,
        problem: Option<String>,
        file: &dyn Display,
        now: Instant,
    ) -> Option<String> {
        if problem.is_some() {
            self.pause = (self.pause * 2).clamp(Duration::from_secs(1), LONGEST_PAUSE);
            self.until = Some(now + self.pause);
        } else {
            self.until = None;
            self.pause = Duration::ZERO;
        }
        Some(match self.trouble.note(problem)? {
            News::Over => format!("{file} can be written again; nothing was lost"),
            News::Begun(problem) => {
                format!("ERROR: {problem}; retrying, blocks stay in force")
            }
        })
    }
}
