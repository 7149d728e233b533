//! Reads values of `share.conf`.

use std::{
    collections::HashMap,
    net::SocketAddr,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use portsentry::{
    config::{
        Report,
        syntax::{Entry, Span, Value, entries, lines, nearest},
    },
    policy::peers::Gateway,
};

use super::{
    content::{AtStop, CROWDSEC, Config, CrowdSec, ROUTES, Routes, Server},
    keys::KEYS,
};

/// Tables that the kernel itself uses: unspecified, default, main and local.
const UNFIT: [u32; 4] = [0, 253, 254, 255];
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
    values: HashMap<&'static str, Span<'_>>,
    directory: &Path,
    text: &str,
    report: &mut Report,
) -> Option<Config> {
    let mut reader = Reader { values, directory, text, report };
    let feed = reader.unless_off("FEED_LISTEN", |text| text.parse::<SocketAddr>().ok());
    let crowdsec = reader.crowdsec();
    let table = |text: &str| text.parse().ok().filter(|number| !UNFIT.contains(number));
    let (routes_out, routes_in) =
        (reader.unless_off("ROUTES_OUT", table), reader.unless_off("ROUTES_IN", table));
    let at_stop = reader.at_stop();
    let has_way = !matches!((&feed, &crowdsec), (Ok(None), Ok(None)))
        || !matches!((&routes_out, &routes_in), (Ok(None), Ok(None)));
    // A gateway without a fleet has another way at least.
    let is_fleet = !has_way || ["SERVERS", "GATEWAYS"].iter().any(|name| reader.values.contains_key(name));
    let servers = reader.several("SERVERS", is_fleet, |host| server(host.text()));
    let gateways = reader.several("GATEWAYS", is_fleet, |name| gateway(name.text()));
    let rate = reader.number("NEWS_RATE", 1..=1_000_000);
    Some(Config {
        socket: reader.path("SHARE_SOCKET"),
        servers: servers?,
        gateways: gateways?,
        authority: reader.path("AUTHORITY"),
        certificate: reader.path("CERTIFICATE"),
        key: reader.path("KEY"),
        rate: rate?,
        feed: feed.ok()?,
        state: reader.path("STATE_DIRECTORY"),
        crowdsec: crowdsec.ok()?,
        routes_out: routes_out.ok()?.map(|out| Routes { out, socket: reader.path("ROUTES_SOCKET"), at_stop }),
        routes_in: routes_in.ok()?,
    })
}

/// A value that is not valid, which has been reported.
#[derive(Debug)]
struct Invalid;

/// Reads values, and reports those that are not valid.
struct Reader<'a, 'r> {
    values: HashMap<&'static str, Span<'a>>,
    directory: &'a Path,
    text: &'a str,
    report: &'r mut Report,
}

impl<'a> Reader<'a, '_> {
    /// Returns the text of a value, or of the default.
    fn word(&self, name: &str) -> &'a str {
        let default = KEYS.iter().find(|key| key.name == name).map_or("", |key| key.default);
        self.values.get(name).map_or(default, |value| value.text())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(self.word(name))
    }

    fn number(&mut self, name: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let number = self.word(name).parse().ok().filter(|number| range.contains(number));
        if let (None, Some(value)) = (number, self.values.get(name)) {
            let (first, last) = range.into_inner();
            self.report.error(*value, format!("this is no number from {first} to {last}"));
        }
        number
    }

    /// Reads a value that may be `off`.
    fn unless_off<T>(&mut self, name: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Invalid> {
        let Some(value) = self.values.get(name).filter(|value| value.text() != "off") else {
            return Ok(None);
        };
        let read = read(value.text());
        if read.is_none() {
            self.report.error(*value, format!("\"{}\" is not valid here", value.text().escape_debug()));
        }
        read.map(Some).ok_or(Invalid)
    }

    fn at_stop(&mut self) -> AtStop {
        let word = self.word("ROUTES_AT_STOP");
        if let Some(value) = self.values.get("ROUTES_AT_STOP").filter(|_| !["keep", "remove"].contains(&word))
        {
            self.report.error(*value, "this is neither keep nor remove");
        }
        if word == "keep" { AtStop::Keep } else { AtStop::Remove }
    }

    /// Reads the Local API with the secrets for it.
    fn crowdsec(&mut self) -> Result<Option<CrowdSec>, Invalid> {
        let url = self.unless_off("CROWDSEC_URL", |text| {
            let uri: ureq::http::Uri = text.parse().ok()?;
            let is_web = matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none();
            (is_web && uri.host().is_some()).then(|| text.trim_end_matches('/').to_owned())
        })?;
        let word = |name: &str| Some(self.word(name).to_owned()).filter(|word| !word.is_empty());
        let (machine, password, key) =
            (word("CROWDSEC_MACHINE"), word("CROWDSEC_PASSWORD"), word("CROWDSEC_KEY"));
        let Some(url) = url else { return Ok(None) };
        let problem = match (&machine, &password, &key) {
            (Some(_), None, _) => Some("CROWDSEC_MACHINE needs CROWDSEC_PASSWORD"),
            (None, Some(_), _) => Some("CROWDSEC_PASSWORD needs CROWDSEC_MACHINE"),
            (None, None, None) => Some("CROWDSEC_MACHINE or CROWDSEC_KEY is missing"),
            _ => None,
        };
        if let (Some(problem), Some(value)) = (problem, self.values.get("CROWDSEC_URL")) {
            self.report.error(*value, problem);
            return Err(Invalid);
        }
        Ok(Some(CrowdSec { url, machine: machine.zip(password), key }))
    }

    /// Reads a list of words, none of them twice.
    fn several<T: PartialEq>(
        &mut self,
        name: &str,
        is_required: bool,
        read: impl Fn(Span<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Some(value) = self.values.get(name) else {
            if let Some(line) = lines(self.text).last().filter(|_| is_required) {
                self.report.error(line, format!("{name} is missing"));
            }
            return (!is_required).then(Vec::new);
        };
        let mut all = Vec::new();
        for word in value.split(' ').filter(|word| !word.is_empty()) {
            match read(word) {
                Some(read) if all.contains(&read) => {
                    self.report.error(word, format!("\"{}\" is named twice", word.text().escape_debug()));
                }
                Some(read) => all.push(read),
                None => {
                    self.report.error(word, format!("\"{}\" is not valid here", word.text().escape_debug()));
                }
            }
        }
        Some(all)
    }
}

/// Reads the name of a gateway of the fleet.
fn gateway(name: &str) -> Option<Gateway> {
    Gateway::try_from(name.to_owned()).ok().filter(|gateway| ![CROWDSEC, ROUTES].contains(&gateway.name()))
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
