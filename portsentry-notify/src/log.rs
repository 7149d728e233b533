//! Lines on standard error, with systemd's prefixes for levels if the journal reads them.

use std::{io::stderr, os::fd::AsFd};

use portsentry::{
    config::Level,
    systemd::{is_journal, prefix},
};

fn line(level: Level, text: &str) {
    if is_journal(stderr().as_fd()) {
        eprintln!("{}{text}", prefix(level));
    } else {
        eprintln!("portsentry-notify: {text}");
    }
}

/// Logs an error.
pub fn error(text: &str) {
    line(Level::Err, text);
}

/// Logs a warning.
pub fn warning(text: &str) {
    line(Level::Warning, text);
}

/// Logs a notice.
pub fn notice(text: &str) {
    line(Level::Notice, text);
}
