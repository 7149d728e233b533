//! The settings reference, as a manual page and as Markdown.

use std::fmt::Write;

use clap_mangen::roff::{Roff, bold, italic, roman};

use crate::config::keys::{self, Key, Origin};

const INTRODUCTION: &str = "Settings are written KEY=\"value\", one per line; KEY = \"value\" also works. \
    Lines that start with # are comments. A configuration of PortSentry 1.2 or 2.x works unchanged. \
    Unknown settings cause a warning, invalid values an error, each with its line; \"portsentry check\" validates the files without starting anything. Drop-ins are read \
    after the configuration file: FILE.d/*.conf, in the order of their names. Each setting has the value of the last file that sets it, an \
    empty value is the default, and \"portsentry check\" shows where each value comes from. Within one file the first line takes precedence. \"portsentry reload\" or SIGHUP reloads it.";

/// Settings and their effect. A test reads them.
const EXAMPLES: &[(&str, &str)] = &[
    (
        "TCP_PORTS=\"1,7,9,11,15,79,109\"\nUDP_PORTS=\"1,7,9,69\"\nBLOCK_TCP=\"1\"\nBLOCK_UDP=\"1\"\nBLOCK_TIME=\"3600\"",
        "Fence sources that probe these ports, and block proven ones for an hour:",
    ),
    (
        "INTERFACES=\"eth0\"\nPROTECTED_NETWORKS=\"198.51.100.0/24\"",
        "On a gateway, also protect the hosts behind it:",
    ),
    (
        "KILL_RUN_CMD=\"/usr/local/sbin/notify $TARGET$ $PORT$\"\nKILL_ON_PROOF=\"1\"",
        "Run a command for each source that has proven itself:",
    ),
    (
        "METRICS_LISTEN=\"127.0.0.1:9911\"\nJSON_LOG=\"/var/log/portsentry.json\"",
        "Serve metrics to Prometheus, and write events for programs:",
    ),
];

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
    page.control("SH", ["FILES"]).control("TP", []).text([italic("/etc/portsentry/portsentry.conf")]);
    page.text([roman("Where the daemon and all commands look for it, unless -c names another.")]);
    page.control("TP", []).text([italic("/etc/portsentry/portsentry.conf.d/*.conf")]);
    page.text([roman("Its drop-ins. With -c FILE, those in FILE.d are read.")]);
    page.control("SH", ["EXAMPLES"]);
    for (settings, effect) in EXAMPLES {
        page.control("PP", []).text([roman(*effect)]).control("PP", []).control("nf", []);
        page.text([bold(*settings)]).control("fi", []);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn examples_are_valid_settings() {
        for (settings, _) in EXAMPLES {
            let (_, report) = Config::parse(settings, "example").unwrap_or_else(|report| panic!("{report}"));
            assert!(report.is_empty(), "{report}");
        }
    }
}
