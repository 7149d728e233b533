//! Where log lines and events go: a list of sinks, each of which takes of a report what it is for.

use std::{fmt, io};

use super::event::Event;
use crate::config::Config;

/// What there is to say.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The event, in fields.
    pub event: &'a Event,
    /// Lines for the log; none of what the log has no line for.
    pub lines: &'a [String],
    /// The event in words, made fit for showing; `None` where the lines tell of no event of their own.
    pub message: Option<&'a str>,
}

/// A place that log lines or events go to. It must not hold up who emits: what can't be taken at once is counted.
pub trait Sink: fmt::Debug + Send {
    /// Its name, as metrics have it.
    fn name(&self) -> &'static str;

    /// Takes what it is for.
    fn emit(&mut self, report: &Report<'_>);

    /// How much was lost up to now.
    fn lost(&self) -> u64;

    /// What has gone wrong with writing, or is right again, each told once; an error begins with `ERROR: `.
    fn news(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Whether it is the log, which has lines for people.
    fn is_log(&self) -> bool {
        false
    }
}

/// Makes the sink that the configuration asks for, if it does.
pub(super) type Open = fn(&Config) -> Option<io::Result<Box<dyn Sink>>>;
