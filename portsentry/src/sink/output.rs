//! Where log lines go.

use std::{io::Write, path::Path};

use super::{
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
    /// Standard output. What a reader that went away would have got is lost, as with any program.
    Stdout,
    /// The system log.
    Syslog(Syslog),
    /// systemd's journal.
    Journald(Journald),
    /// Kept for a test to look at.
    #[cfg(test)]
    Kept(Vec<String>),
}

impl Output {
    /// The output that `config` names.
    pub fn new(config: &Config) -> Self {
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

    /// Lines that were lost, as the log did not take them.
    pub fn lost(&self) -> u64 {
        match self {
            Self::Syslog(syslog) => syslog.lost(),
            Self::Journald(journald) => journald.lost(),
            Self::Stdout => 0,
            #[cfg(test)]
            Self::Kept(_) => 0,
        }
    }

    /// Writes one line, with what it says in fields where there is room for them. What a terminal acts on is spelt
    /// out, so that nothing can pass for a line of its own or reach a terminal.
    pub fn write(&mut self, line: &str, event: &Event) {
        let line = sanitize(line);
        match self {
            // Not println, which panics when the reader has gone.
            Self::Stdout => drop(writeln!(std::io::stdout().lock(), "{line}")),
            Self::Syslog(syslog) => syslog.send(&line),
            Self::Journald(journald) => journald.send(&line, event),
            #[cfg(test)]
            Self::Kept(lines) => lines.push(line.into_owned()),
        }
    }
}
