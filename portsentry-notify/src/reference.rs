//! The settings and the names in templates, as tables for the documentation.

use std::fmt::Write as _;

use crate::{config::keys::KEYS, template::NAMES};

/// Returns the tables.
pub fn text() -> String {
    let mut text = String::from("| setting | channels | value | default | |\n|---|---|---|---|---|\n");
    for key in KEYS {
        let channels = match key.channels {
            "" => "(before the sections)",
            "*" => "all",
            channels => channels,
        };
        let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
        // Writing to a string never fails.
        let _ =
            writeln!(text, "| `{}` | {channels} | {} | {default} | {} |", key.name, key.form, key.meaning);
    }
    text.push_str("\n| name | |\n|---|---|\n");
    for (name, meaning) in NAMES {
        let _ = writeln!(text, "| `${name}$` | {meaning} |");
    }
    text
}
