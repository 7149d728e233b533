//! The settings, as a table for the documentation.

use std::fmt::Write as _;

use crate::config::KEYS;

/// Returns the table.
pub fn text() -> String {
    let mut text = String::from("| setting | value | default | |\n|---|---|---|---|\n");
    for key in KEYS {
        let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
        // Writing to a string never fails.
        let _ = writeln!(text, "| `{}` | {} | {default} | {} |", key.name, key.form, key.meaning);
    }
    text
}
