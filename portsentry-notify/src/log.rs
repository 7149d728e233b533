//! Lines on standard error, with systemd's prefixes for levels if the journal reads them.

use portsentry::{config::Level, systemd};

const PROGRAM: &str = "portsentry-notify";

/// Logs an error.
pub fn error(text: &str) {
    systemd::report(PROGRAM, Level::Err, text);
}

/// Logs a warning.
pub fn warning(text: &str) {
    systemd::report(PROGRAM, Level::Warning, text);
}

/// Logs a notice.
pub fn notice(text: &str) {
    systemd::report(PROGRAM, Level::Notice, text);
}
