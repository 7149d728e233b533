//! The settings reference, as a manual page and as Markdown.

use std::fmt::Write;

use clap_mangen::roff::{Roff, bold, italic, roman};

use crate::config::keys::{self, Key, Origin};

const INTRODUCTION: &str = "Settings are written KEY=\"value\", one per line; KEY = \"value\" also works. \
    Lines that start with # are comments. A configuration of PortSentry 1.2 or 2.x works unchanged. \
    Unknown settings cause a warning, invalid values an error, each with its line; \"portsentry check\" validates a file without starting anything. \"portsentry reload\" or SIGHUP reloads it.";

/// Returns the manual page called `name`.
pub(super) fn page(name: &str) -> String {
    let mut page = Roff::new();
    page.control("TH", [name, "5", "", concat!("portsentry ", env!("CARGO_PKG_VERSION"))]);
    page.control("SH", ["NAME"]).text([roman(format!("{name} - settings of portsentry(8)"))]);
    page.control("SH", ["DESCRIPTION"]).text([roman(INTRODUCTION)]);
    page.control("SH", ["SETTINGS"]);
    for key in keys::all() {
        page.control("TP", []).text([bold(key.name), roman("="), italic(key.form)]);
        page.text([roman(format!("{} {} {}", sentence(key.meaning), default(key), origin(key.origin)))]);
    }
    page.control("SH", ["SEE ALSO"]).text([bold("portsentry"), roman("(8)")]);
    page.to_roff()
}

/// Returns the reference as Markdown.
pub(super) fn reference() -> String {
    let mut text =
        format!("# Settings\n\n<!-- Made from the code: `cargo xtask gen-docs`. -->\n\n{INTRODUCTION}\n");
    for key in keys::all() {
        // Writing to a string never fails.
        let _ = write!(
            text,
            "\n## {}\n\n{}\n\n- Value: {}\n- {}\n- {}\n",
            key.name,
            sentence(key.meaning),
            key.form,
            default(key),
            origin(key.origin)
        );
    }
    text
}

fn sentence(meaning: &str) -> String {
    meaning.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn default(key: &Key) -> String {
    if key.default.is_empty() { "Default: none.".into() } else { format!("Default: {}.", key.default) }
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Both => "Setting of PortSentry 1.2 and 2.x.",
        Origin::Classic => "Setting of PortSentry 1.2.",
        Origin::CompileTime => "Compile-time constant of PortSentry 1.x.",
        Origin::Ours => "New in this version.",
    }
}
