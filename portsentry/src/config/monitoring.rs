//! Monitoring settings: events in JSON, metrics over HTTP.

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf};

use super::{report::Report, span::Span, value};

/// `JSON_LOG`: the target of events in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonLog {
    /// To standard output.
    Stdout,
    /// Appended to a file.
    File(PathBuf),
}

/// The targets of the sinks that get events besides the log, by the name of the setting. Each sink reads its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets(BTreeMap<&'static str, String>);

impl Targets {
    /// Sets the target in the setting `name`.
    pub fn set(&mut self, name: &'static str, target: impl fmt::Display) {
        self.0.insert(name, target.to_string());
    }

    /// Returns the target in the setting `name`, if it is set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns the target of `JSON_LOG`.
    #[must_use]
    pub fn json_log(&self) -> Option<JsonLog> {
        self.get("JSON_LOG").map(JsonLog::named)
    }
}

impl JsonLog {
    /// Returns the target of this name: `stdout`, or the path of a file.
    fn named(name: &str) -> Self {
        if name == "stdout" { Self::Stdout } else { Self::File(name.into()) }
    }
}

/// Formats the value as in the configuration.
impl fmt::Display for JsonLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A file, or `-` or `stdout` for standard output.
pub(super) fn json_log(value: Span<'_>, report: &mut Report) -> JsonLog {
    match value.trim().text() {
        "-" | "stdout" => JsonLog::Stdout,
        _ => JsonLog::File(value::file(value, report)),
    }
}

/// Reads an address and port for HTTP. A port alone listens only on loopback. Other hosts must be admitted by an
/// explicit address, because the answers show the number of blocked sources and the state of the daemon.
pub(super) fn listen(value: Span<'_>, report: &mut Report) -> Option<SocketAddr> {
    const HELP: &str = "write 127.0.0.1:9911 or [::1]:9911";
    let value = value.trim();
    let Ok(address) = value.text().parse::<SocketAddr>() else {
        let message = format!("\"{}\" is not an address with a port", value.text().escape_debug());
        report.error(value, message).help(HELP);
        return None;
    };
    if address.port() == 0 {
        report.error(value, "there is no port 0: ports are 1 to 65535").help(HELP);
    } else if address.ip().is_unspecified() {
        report.error(value, "this listens on every address of this host").help(HELP);
    } else if !address.ip().to_canonical().is_loopback() {
        report.warn(value, "this is not a loopback address, so other hosts can read the metrics");
    }
    Some(address)
}

#[cfg(test)]
mod tests {
    use super::super::span::lines;
    use super::*;

    #[test]
    fn metrics_are_for_this_host_unless_an_address_says_otherwise() {
        for (text, address, errors, warnings) in [
            ("127.0.0.1:9911", true, 0, 0),
            (" [::1]:9911 ", true, 0, 0),
            ("127.9.9.9:1", true, 0, 0),
            ("192.0.2.1:9911", true, 0, 1),
            ("[2001:db8::1]:9911", true, 0, 1),
            ("0.0.0.0:9911", true, 1, 0),
            ("[::]:9911", true, 1, 0),
            ("127.0.0.1:0", true, 1, 0),
            (":9911", false, 1, 0),
            ("9911", false, 1, 0),
            ("localhost:9911", false, 1, 0),
            ("127.0.0.1", false, 1, 0),
            ("127.0.0.1:65536", false, 1, 0),
        ] {
            let mut report = Report::new("test");
            let found = listen(lines(text).next().unwrap(), &mut report);
            let all = report.iter().count();
            assert_eq!((found.is_some(), all), (address, errors + warnings), "{text}");
            assert_eq!(report.has_errors(), errors > 0, "{text}");
        }
    }

    #[test]
    fn events_go_to_a_file_or_to_standard_output() {
        for (text, expected) in [
            ("-", JsonLog::Stdout),
            (" stdout", JsonLog::Stdout),
            ("/var/log/x y.json", JsonLog::File("/var/log/x y.json".into())),
        ] {
            let mut report = Report::new("test");
            let found = json_log(lines(text).next().unwrap(), &mut report);
            assert_eq!(found, expected);
            assert!(report.is_empty());
            let mut targets = Targets::default();
            targets.set("JSON_LOG", found);
            assert_eq!(targets.json_log(), Some(expected));
        }
    }
}
