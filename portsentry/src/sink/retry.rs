//! A file that can't be written: told once when that begins and once when it ends, and tried again ever more seldom.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use crate::policy::trouble::{News, Trouble};

/// How long it is waited at the most until a file that could not be written is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How writing a file went last, and when it is to be tried again.
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

    /// Takes note of how an attempt ended; returns what there is to tell.
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
