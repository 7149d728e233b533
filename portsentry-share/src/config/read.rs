//! Reads values of `share.conf`.

use std::{collections::HashMap, path::Path};

use portsentry::{
    config::{
        Report,
        syntax::{Entry, Span, Value, entries, lines, nearest},
    },
    policy::peers::Gateway,
};

use super::{
    content::{Config, Server},
    keys::KEYS,
};

/// Port of a server that has none in its name.
const PORT: u16 = 4222;

/// Returns the values that are not blank, by setting.
pub(super) fn values<'a>(text: &'a str, report: &mut Report) -> HashMap<&'static str, Span<'a>> {
    let mut values = HashMap::new();
    for entry in entries(text) {
        let (key, value) = match entry {
            Entry::Setting { key, value } => (key, value),
            Entry::NotASetting(line) => {
                report.error(line, "this line is not a setting").help("write KEY=\"value\"");
                continue;
            }
        };
        let Some(known) = KEYS.iter().find(|known| known.name == key.text()) else {
            let added = report.error(key, format!("unknown setting {}", key.text()));
            if let Some(near) = nearest(key.text(), KEYS.iter().map(|known| known.name)) {
                added.help(format!("did you mean {near}?"));
            }
            continue;
        };
        match value {
            Value::Quoted { text, rest } if rest.is_empty() => {
                if values.contains_key(known.name) {
                    report.error(key, format!("{} is set twice", known.name));
                } else if !text.trim().is_empty() {
                    values.insert(known.name, text.trim());
                }
            }
            Value::Quoted { rest, .. } => {
                report.error(rest, "there is text after the closing quote");
            }
            Value::Unquoted(_) => {
                report.error(key, "the value is not in quotes").help(format!("write {}=\"...\"", known.name));
            }
            Value::Unclosed(text) => {
                report.error(text, "this quote is never closed");
            }
        }
    }
    values
}

/// Builds the configuration. `directory` is that of the file.
pub(super) fn config(
    values: &HashMap<&'static str, Span<'_>>,
    directory: &Path,
    text: &str,
    report: &mut Report,
) -> Option<Config> {
    let word = |name: &str| {
        let default = KEYS.iter().find(|key| key.name == name).map_or("", |key| key.default);
        values.get(name).map_or(default, |value| value.text())
    };
    let path = |name: &str| directory.join(word(name));
    let servers = several(values, "SERVERS", text, report, |host| server(host.text()));
    let gateways =
        several(values, "GATEWAYS", text, report, |name| Gateway::try_from(name.text().to_owned()).ok());
    let rate = word("NEWS_RATE").parse().ok().filter(|rate| (1..=1_000_000).contains(rate));
    if let (None, Some(value)) = (rate, values.get("NEWS_RATE")) {
        report.error(*value, "this is no number from 1 to 1000000");
    }
    Some(Config {
        socket: path("SHARE_SOCKET"),
        servers: servers?,
        gateways: gateways?,
        authority: path("AUTHORITY"),
        certificate: path("CERTIFICATE"),
        key: path("KEY"),
        rate: rate?,
    })
}

/// Reads a list of words, none of them twice.
fn several<T: PartialEq>(
    values: &HashMap<&'static str, Span<'_>>,
    name: &str,
    text: &str,
    report: &mut Report,
    read: impl Fn(Span<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let Some(value) = values.get(name) else {
        if let Some(line) = lines(text).last() {
            report.error(line, format!("{name} is missing"));
        }
        return None;
    };
    let mut all = Vec::new();
    for word in value.split(' ').filter(|word| !word.is_empty()) {
        match read(word) {
            Some(read) if all.contains(&read) => {
                report.error(word, format!("\"{}\" is named twice", word.text().escape_debug()));
            }
            Some(read) => all.push(read),
            None => {
                report.error(word, format!("\"{}\" is not valid here", word.text().escape_debug()));
            }
        }
    }
    Some(all)
}

/// Reads `host`, `host:port` or `[address]:port`.
fn server(text: &str) -> Option<Server> {
    let is_address = text.parse::<std::net::IpAddr>().is_ok();
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !is_address => (host, port.parse().ok().filter(|port| *port > 0)?),
        _ => (text, PORT),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    rustls::pki_types::ServerName::try_from(host).ok()?;
    Some(Server { host: host.into(), port })
}
