//! The outputs of the log.

use std::{
    io::{self, Write},
    os::fd::AsFd,
    path::Path,
};

use super::{
    emit::{Report, Sink},
    event::Event,
    journald::Journald,
    syslog::Syslog,
};
use crate::{
    config::{Config, LogOutput},
    sanitize::sanitize,
    systemd,
};

/// Standard output, the system log or the journal.
#[derive(Debug)]
pub enum Output {
    /// Standard output. Lines are lost if its reader has left, as with any program.
    Stdout {
        /// Whether it goes to the journal, which reads each line's priority.
        is_journal: bool,
    },
    /// The system log.
    Syslog(Syslog),
    /// systemd's journal.
    Journald(Journald),
}

/// The outputs of the log, each of which gets every line.
#[derive(Debug)]
struct Outputs(Vec<Output>);

/// Opens the log's outputs.
#[expect(clippy::unnecessary_wraps, reason = "as of any sink")]
pub(super) fn open(config: &Config) -> Option<io::Result<Box<dyn Sink>>> {
    let targets = [config.log_output].into_iter().chain(config.also_log.iter().copied());
    Some(Ok(Box::new(Outputs(targets.map(|target| Output::new(config, target)).collect()))))
}

impl Sink for Outputs {
    fn name(&self) -> &'static str {
        "log"
    }

    fn emit(&mut self, report: &Report<'_>) {
        for line in report.lines {
            self.0.iter_mut().for_each(|output| output.write(line, report.event));
        }
    }

    fn lost(&self) -> u64 {
        self.0.iter().map(Output::lost).sum()
    }

    fn is_log(&self) -> bool {
        true
    }
}

impl Output {
    fn lost(&self) -> u64 {
        match self {
            Self::Syslog(syslog) => syslog.lost(),
            Self::Journald(journald) => journald.lost(),
            // Lines for a reader that left don't count as lost, as with any program.
            Self::Stdout { .. } => 0,
        }
    }

    /// Opens the output to `target`, with the settings of `config`.
    fn new(config: &Config, target: LogOutput) -> Self {
        match target {
            LogOutput::Syslog => {
                Self::Syslog(Syslog::new(Path::new("/dev/log"), config.syslog_facility, config.syslog_level))
            }
            LogOutput::Journald => {
                Self::Journald(Journald::new(Path::new(systemd::JOURNAL), config.syslog_facility))
            }
            LogOutput::Auto | LogOutput::Stdout => {
                Self::Stdout { is_journal: systemd::is_journal(io::stdout().as_fd()) }
            }
        }
    }

    /// Writes one line and, where supported, its event's fields. Escapes control characters, so that no part can
    /// look like another line or control a terminal.
    fn write(&mut self, line: &str, event: &Event) {
        let line = sanitize(line);
        match self {
            // Not println, which panics if the reader has left.
            Self::Stdout { is_journal } => {
                let prefix = if *is_journal { systemd::prefix(event.level()) } else { String::new() };
                drop(writeln!(io::stdout().lock(), "{prefix}{line}"));
            }
            Self::Syslog(syslog) => syslog.send(&line, event.level()),
            Self::Journald(journald) => journald.send(&line, event),
        }
    }
}
