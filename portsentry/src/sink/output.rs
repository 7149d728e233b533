//! The outputs of the log.

use std::{
    io::{self, Write},
    path::Path,
};

use super::{
    emit::{Report, Sink},
    event::Event,
    journald::{self, Journald},
    syslog::Syslog,
};
use crate::{
    config::{Config, LogOutput},
    sanitize::sanitize,
};

/// Standard output, the system log or the journal.
#[derive(Debug)]
pub enum Output {
    /// Standard output. Lines are lost if its reader has left, as with any program.
    Stdout,
    /// The system log.
    Syslog(Syslog),
    /// systemd's journal.
    Journald(Journald),
}

/// Opens the log's output.
#[expect(clippy::unnecessary_wraps, reason = "as of any sink")]
pub(super) fn open(config: &Config) -> Option<io::Result<Box<dyn Sink>>> {
    Some(Ok(Box::new(Output::new(config))))
}

impl Sink for Output {
    fn name(&self) -> &'static str {
        "log"
    }

    fn emit(&mut self, report: &Report<'_>) {
        report.lines.iter().for_each(|line| self.write(line, report.event));
    }

    fn lost(&self) -> u64 {
        match self {
            Self::Syslog(syslog) => syslog.lost(),
            Self::Journald(journald) => journald.lost(),
            // Lines for a reader that left don't count as lost, as with any program.
            Self::Stdout => 0,
        }
    }

    fn is_log(&self) -> bool {
        true
    }
}

impl Output {
    /// Opens the output that `config` selects.
    fn new(config: &Config) -> Self {
        match config.log_output {
            LogOutput::Syslog => {
                Self::Syslog(Syslog::new(Path::new("/dev/log"), config.syslog_facility, config.syslog_level))
            }
            LogOutput::Journald => Self::Journald(Journald::new(
                Path::new(journald::SOCKET),
                config.syslog_facility,
                config.syslog_level,
            )),
            LogOutput::Auto | LogOutput::Stdout => Self::Stdout,
        }
    }

    /// Writes one line and, where supported, its event's fields. Escapes control characters, so that no part can
    /// look like another line or control a terminal.
    fn write(&mut self, line: &str, event: &Event) {
        let line = sanitize(line);
        match self {
            // Not println, which panics if the reader has left.
            Self::Stdout => drop(writeln!(io::stdout().lock(), "{line}")),
            Self::Syslog(syslog) => syslog.send(&line),
            Self::Journald(journald) => journald.send(&line, event),
        }
    }
}
