//! The outputs of the log.

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
    /// Standard output. Lines are lost if its reader has gone, as with any program.
    Stdout,
    /// The system log.
    Syslog(Syslog),
    /// systemd's journal.
    Journald(Journald),
    /// Kept for tests.
    #[cfg(test)]
    Kept(Vec<String>),
}

impl Output {
    /// Opens the output that `config` names.
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

    /// Returns the number of lines lost because the log did not accept them.
    pub fn lost(&self) -> u64 {
        match self {
            Self::Syslog(syslog) => syslog.lost(),
            Self::Journald(journald) => journald.lost(),
            Self::Stdout => 0,
            #[cfg(test)]
            Self::Kept(_) => 0,
        }
    }

    /// Writes a line, with the event's fields if the output has room for them. Control characters are escaped, so
    /// that no text can fake a line or control a terminal.
    pub fn write(&mut self, line: &str, event: &Event) {
        let line = sanitize(line);
        match self {
            // Not println, which panics if the reader has gone.
            Self::Stdout => drop(writeln!(std::io::stdout().lock(), "{line}")),
            Self::Syslog(syslog) => syslog.send(&line),
            Self::Journald(journald) => journald.send(&line, event),
            #[cfg(test)]
            Self::Kept(lines) => lines.push(line.into_owned()),
        }
    }
}
