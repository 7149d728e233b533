//! The log: lines in the words of either PortSentry, and an event with each.

mod actions;
mod life;
mod probes;

use std::{fmt::Display, time::SystemTime};

use super::{
    SINKS,
    emit::{Open, Report, Sink},
    event::{Action, Event, Field},
    feed::Feed,
    origins::Origins,
};
use crate::{
    config::{Config, Fence, Level, LogFormat},
    policy::enforcement::{self, Prediction},
    sanitize::sanitize,
};

/// The prefix of lines about actions on a source, in both formats.
const ATTACK: &str = "attackalert: ";

/// The log.
#[derive(Debug)]
pub struct Log {
    format: LogFormat,
    tells_notices: bool,
    /// `FENCE`
    fence: Fence,
    prediction: Prediction,
    /// What makes a reported scan a fenced one.
    scan_remedy: &'static str,
    sinks: Vec<Box<dyn Sink>>,
    feed: Option<Feed>,
    last_error: Option<(SystemTime, String)>,
    origins: Origins,
}

impl Log {
    /// Creates the log in the format and with the outputs of `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mut problems = Vec::new();
        let (origins, unreadable) = Origins::open(config);
        let mut open = |open: &Open| match open(config)? {
            Ok(sink) => Some(sink),
            Err(error) => {
                problems.push(format!("starting a thread for events: {error}"));
                None
            }
        };
        let mut journal = Self {
            format: config.log_format,
            tells_notices: config.log_notices || config.log_format == LogFormat::Revival,
            // An open fence answers with challenges.
            fence: config.fence_in_effect(),
            prediction: Prediction::new(config),
            scan_remedy: enforcement::scan_remedy(config),
            sinks: SINKS.iter().filter_map(&mut open).collect(),
            feed: None,
            last_error: None,
            origins,
        };
        unreadable.iter().for_each(|problem| journal.error(&format!("{problem}; events lack it")));
        problems.iter().for_each(|problem| journal.error(problem));
        journal
    }

    /// Returns the log, which also publishes its events in `feed`.
    #[must_use]
    pub fn with_feed(self, feed: Feed) -> Self {
        Self { feed: Some(feed), ..self }
    }

    /// Logs problems of the event writer.
    pub fn tick(&mut self) {
        let news: Vec<String> = self.sinks.iter_mut().flat_map(|sink| sink.news()).collect();
        news.iter().for_each(|news| self.news(news));
    }

    /// Returns the number of lines or events lost so far, by output.
    #[must_use]
    pub fn lost(&self) -> Vec<(&'static str, u64)> {
        self.sinks.iter().map(|sink| (sink.name(), sink.lost())).collect()
    }

    /// Logs a problem that an administrator must look at.
    pub fn error(&mut self, problem: &dyn Display) {
        self.problem(&Event::new(Action::Error), &problem.to_string());
    }

    /// Logs a message worded elsewhere. An error starts with `ERROR: `.
    pub fn news(&mut self, news: &str) {
        let is_error = news.starts_with("ERROR: ");
        self.admin(&Event::new(if is_error { Action::Error } else { Action::Note }), news);
    }

    /// Logs a warning.
    pub fn warning(&mut self, what: &dyn Display) {
        self.admin(&Event::new(Action::Note).at_level(Level::Warning), &what.to_string());
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
        self.say(&event.clone().at_level(Level::Err), &lines);
    }

    fn admin(&mut self, event: &Event, text: &str) {
        self.say(event, &[self.worded("adminalert: ", text)]);
    }

    fn attack_line(&mut self, event: &Event, text: &str) {
        self.say(event, &[self.worded(ATTACK, text)]);
    }

    /// Returns `text`, with 1.2's prefix. In 2.x's format only lines about actions have it.
    fn worded(&self, classic: &str, text: &str) -> String {
        let has_prefix = self.format != LogFormat::Revival || classic == ATTACK;
        let prefix = if has_prefix { classic } else { "" };
        format!("{prefix}{text}")
    }

    /// Writes lines, and their event.
    fn say(&mut self, event: &Event, lines: &[String]) {
        self.emit(event, lines, Some(&lines.join("\n")));
    }

    /// Emits an event that isn't logged.
    fn tell(&mut self, event: &Event, message: &str) {
        self.emit(event, &[], Some(message));
    }

    /// Returns the origins of sources.
    #[must_use]
    pub const fn origins(&mut self) -> &mut Origins {
        &mut self.origins
    }

    fn emit(&mut self, event: &Event, lines: &[String], message: Option<&str>) {
        let source = event.source().filter(|_| self.origins.are_any());
        let located = source.map(|source| event.clone().of_origin(self.origins.of(source)));
        let event = located.as_ref().unwrap_or(event);
        let shown = |message: &str| message.lines().map(|line| sanitize(line)).collect::<Vec<_>>().join("\n");
        let message = message.filter(|_| self.has_events()).map(shown);
        let json = message.map(|message| match &self.feed {
            Some(feed) => feed.publish(event, &message),
            None => event.json(&message, None).into(),
        });
        let report = Report { event, lines, json: json.as_deref() };
        self.sinks.iter_mut().for_each(|sink| sink.emit(&report));
    }

    /// Whether any sink accepts events that aren't logged.
    fn has_events(&self) -> bool {
        self.feed.is_some() || self.sinks.iter().any(|sink| !sink.is_log())
    }
}

fn loss(count: u64, what: &str) -> Event {
    Event::new(Action::Loss).with(Field::Count, count).with(Field::EventReason, what)
}

#[cfg(test)]
pub(super) mod tests;
