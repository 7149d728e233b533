//! Records actions on sources in the history and the evidence.

use std::time::Instant;

use jiff::tz::TimeZone;

use super::{
    Decided, Named,
    evidence::Evidence,
    flushed::Flushed,
    history::{self, History},
    history_write,
    retry::Retry,
};
use crate::{
    config::{Config, LogFormat},
    policy::{
        Record, Sighting,
        register::{Case, HistoryAction},
    },
};

/// History and evidence.
#[derive(Debug)]
pub struct Recorder {
    history: History,
    history_trouble: Retry,
    evidence: Option<Evidence>,
    evidence_trouble: Retry,
    format: LogFormat,
    zone: TimeZone,
}

impl Recorder {
    /// Opens the files in `config`.
    #[must_use]
    pub(super) fn new(config: &Config) -> Self {
        Self {
            history: History::new(config.history_file.clone()),
            history_trouble: Retry::default(),
            evidence: config.evidence_file.clone().map(Evidence::new),
            evidence_trouble: Retry::default(),
            format: config.log_format,
            zone: TimeZone::system(),
        }
    }

    /// Returns the records that the history lacks because an earlier run had no time to write them.
    #[must_use]
    pub fn unwritten(&self, records: Vec<Record>) -> (Vec<Record>, Option<String>) {
        match self.history.recent() {
            Ok(recent) => {
                (records.into_iter().filter(|record| !history::is_written(&recent, record)).collect(), None)
            }
            Err(error) => {
                (records, Some(format!("{} can't be read: {error}", self.history.path().display())))
            }
        }
    }

    /// Records an action in the history and the evidence.
    pub fn record(&mut self, action: HistoryAction, case: &Case, source: &Named<'_>) {
        self.history.append(history_write::render(action, case, source, self.format, &self.zone));
        if let Some(evidence) = &mut self.evidence {
            evidence.record(action, case);
        }
    }

    /// Returns the blocked sources in the history, once for each block. If it can't be read the result is empty,
    /// and writing to it reports the error.
    #[must_use]
    pub fn once_blocked(&self) -> Vec<std::net::IpAddr> {
        self.history.blocked().unwrap_or_default()
    }

    /// Reads past decisions from the evidence file. Returns the problem, if any.
    #[must_use]
    pub fn decided(&self) -> (Decided, Option<String>) {
        match Decided::read(self.evidence.as_ref().map(Evidence::path)) {
            Ok(decided) => (decided, None),
            Err(error) => (Decided::default(), Some(error.to_string())),
        }
    }

    /// Records a packet as evidence, in case its source is or becomes blocked.
    pub fn see(&mut self, sighting: &Sighting, is_held: bool) {
        if let Some(evidence) = &mut self.evidence {
            evidence.see(sighting, is_held);
        }
    }

    /// Immediately writes pending lines. Returns the problems.
    pub fn flush_now(&mut self) -> Vec<String> {
        let mut done = Flushed::default();
        self.flush(&mut done, Instant::now());
        done.news
    }

    /// Writes pending lines.
    pub(super) fn flush(&mut self, done: &mut Flushed, now: Instant) {
        if self.history_trouble.is_over(now) {
            let path = self.history.path().to_path_buf();
            let written = self.history.flush();
            if let Ok(dropped) = written
                && dropped > 0
            {
                done.news.push(format!("{}: {dropped} lines were lost in the meantime", path.display()));
            }
            let problem = written.err().map(|error| format!("{} can't be written: {error}", path.display()));
            done.news.extend(self.history_trouble.note(problem, &path.display(), now));
        }
        if let Some(evidence) = self.evidence.as_mut().filter(|_| self.evidence_trouble.is_over(now)) {
            let problem = evidence.flush().err();
            let problem =
                problem.map(|error| format!("{} can't be written: {error}", evidence.path().display()));
            done.news.extend(self.evidence_trouble.note(problem, &evidence.path().display(), now));
        }
    }
}
