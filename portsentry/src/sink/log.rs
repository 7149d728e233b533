//! The log: lines in the words of either PortSentry, and an event beside each.

mod actions;
mod life;
mod probes;

use std::{fmt::Display, time::SystemTime};

use super::{
    event::{Action, Event, Field},
    json_log::Writer,
    output::Output,
};
use crate::{
    config::{Config, LogFormat},
    sanitize::sanitize,
};

/// The log.
#[derive(Debug)]
pub struct Log {
    format: LogFormat,
    tells_notices: bool,
    output: Output,
    /// `JSON_LOG`
    events: Option<Writer>,
    last_error: Option<(SystemTime, String)>,
}

impl Log {
    /// Opens the log in the format and at the target that `config` names.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mut journal = Self {
            format: config.log_format,
            tells_notices: config.log_notices || config.log_format == LogFormat::Revival,
            output: Output::new(config),
            events: None,
            last_error: None,
        };
        match config.json_log.as_ref().map(Writer::start).transpose() {
            Ok(events) => journal.events = events,
            Err(error) => journal.error(&format!("starting a thread for JSON_LOG: {error}")),
        }
        journal
    }

    /// Logs problems of the event writer.
    pub fn tick(&mut self) {
        let news: Vec<String> = self.events.iter().flat_map(Writer::news).collect();
        news.iter().for_each(|news| self.news(news));
    }

    /// Returns the number of lines or events lost so far, by output.
    #[must_use]
    pub fn lost(&self) -> [(&'static str, u64); 2] {
        [("log", self.output.lost()), ("json", self.events.as_ref().map_or(0, Writer::lost))]
    }

    /// Logs a problem that an administrator must look at.
    pub fn error(&mut self, problem: &dyn Display) {
        self.problem(&Event::new(Action::Error), &problem.to_string());
    }

    /// Logs a message worded elsewhere; an error begins with `ERROR: `.
    pub fn news(&mut self, news: &str) {
        let is_error = news.starts_with("ERROR: ");
        self.admin(&Event::new(if is_error { Action::Error } else { Action::Note }), news);
    }

    /// Returns the last error and its time.
    #[must_use]
    pub fn last_error(&self) -> Option<&(SystemTime, String)> {
        self.last_error.as_ref()
    }

    /// Logs any other information for an administrator.
    pub fn note(&mut self, what: &dyn Display) {
        self.admin(&Event::new(Action::Note), &what.to_string());
    }

    /// Logs a message of the kernel program.
    pub fn debug(&mut self, line: &str) {
        self.note(&format!("Kernel program: {line}"));
    }

    fn problem(&mut self, event: &Event, problem: &str) {
        self.last_error = Some((SystemTime::now(), problem.to_owned()));
        let line = |(number, line): (usize, &str)| {
            let text = if number == 0 { format!("ERROR: {line}") } else { line.to_owned() };
            self.worded("adminalert: ", &text)
        };
        let lines: Vec<String> = problem.lines().enumerate().map(line).collect();
        self.say(event, &lines);
    }

    fn admin(&mut self, event: &Event, text: &str) {
        self.say(event, &[self.worded("adminalert: ", text)]);
    }

    fn attack_line(&mut self, event: &Event, text: &str) {
        self.say(event, &[self.worded("attackalert: ", text)]);
    }

    /// Returns `text`, with 1.2's prefix if the log has its format.
    fn worded(&self, classic: &str, text: &str) -> String {
        let prefix = if self.format == LogFormat::Revival { "" } else { classic };
        format!("{prefix}{text}")
    }

    /// Writes lines, and their event.
    fn say(&mut self, event: &Event, lines: &[String]) {
        lines.iter().for_each(|line| self.output.write(line, event));
        self.tell(event, &lines.join("\n"));
    }

    fn tell(&mut self, event: &Event, message: &str) {
        if let Some(events) = &mut self.events {
            let lines: Vec<String> = message.lines().map(|line| sanitize(line).into_owned()).collect();
            events.tell(event, &lines.join("\n"));
        }
    }
}

fn loss(count: u64, what: &str) -> Event {
    Event::new(Action::Loss).with(Field::Count, count).with(Field::EventReason, what)
}

#[cfg(test)]
pub(super) mod tests;
