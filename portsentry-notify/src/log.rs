//! Lines on standard error, with systemd's prefixes for levels if the journal reads them.

use std::{env, sync::OnceLock};

fn line(level: u8, text: &str) {
    static JOURNAL: OnceLock<bool> = OnceLock::new();
    if *JOURNAL.get_or_init(|| env::var_os("JOURNAL_STREAM").is_some()) {
        eprintln!("<{level}>{text}");
    } else {
        eprintln!("portsentry-notify: {text}");
    }
}

/// Logs an error.
pub fn error(text: &str) {
    line(3, text);
}

/// Logs a warning.
pub fn warning(text: &str) {
    line(4, text);
}

/// Logs a notice.
pub fn notice(text: &str) {
    line(5, text);
}
