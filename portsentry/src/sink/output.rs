//! Where log lines go. It must not know what they say.

use std::{io::Write, path::Path};

use super::syslog::Syslog;
use crate::{
    config::{Config, LogOutput},
    visible::visible,
};

/// Standard output or the system log.
#[derive(Debug)]
pub enum Output {
    /// Standard output. What a reader that went away would have got is lost, as with any program.
    Stdout,
    /// The system log.
    Syslog(Syslog),
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
            LogOutput::Auto | LogOutput::Stdout => Self::Stdout,
        }
    }

    /// Writes one line. What a terminal acts on is spelt out, so that nothing can pass for a line of its own or reach
    /// a terminal.
    pub fn write(&mut self, line: &str) {
        let line = visible(line);
        match self {
            // Not println, which panics when the reader has gone.
            Self::Stdout => drop(writeln!(std::io::stdout().lock(), "{line}")),
            Self::Syslog(syslog) => syslog.send(&line),
            #[cfg(test)]
            Self::Kept(lines) => lines.push(line.into_owned()),
        }
    }
}
