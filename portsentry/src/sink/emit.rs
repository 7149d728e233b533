//! The outputs for log lines and events: a list of sinks, each of which uses its part of a report.

use std::{fmt, io};

use super::event::Event;
use crate::config::Config;

/// A report to the sinks.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The event, as fields.
    pub event: &'a Event,
    /// Lines for the log; empty for an event that isn't logged.
    pub lines: &'a [String],
    /// The event as a line of JSON, or `None` if no sink wants it or the lines report no separate event.
    pub json: Option<&'a str>,
}

/// An output for log lines or events. It must not delay its caller: it counts reports that it can't accept at once.
pub trait Sink: fmt::Debug + Send {
    /// Returns its name in metrics.
    fn name(&self) -> &'static str;

    /// Outputs its part of `report`.
    fn emit(&mut self, report: &Report<'_>);

    /// Returns the number of lost reports so far.
    fn lost(&self) -> u64;

    /// Returns new errors of writing, and resolved ones, each once. An error starts with `ERROR: `.
    fn news(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Whether it is the log, with lines for people.
    fn is_log(&self) -> bool {
        false
    }
}

/// Opens the sink, if the configuration requests it.
pub(super) type Open = fn(&Config) -> Option<io::Result<Box<dyn Sink>>>;
