//! Where a channel sends to.

use std::{fs, path::PathBuf};

use lettre::message::Mailbox;
use portsentry::config::{Report, syntax::Span};
use ureq::http::{HeaderName, HeaderValue};

use super::{
    section::Section,
    value::{one_of, path, url},
};
use crate::{
    channel::{
        abuseipdb,
        mail::{Security, Server, Way},
        webhook::{PRESETS, Preset},
    },
    template,
};

/// Where a channel sends to, and the settings for that.
#[derive(Debug)]
pub enum Target {
    /// A webhook.
    Webhook {
        /// Its kind.
        preset: Preset,
        /// `URL`
        url: String,
        /// `ROOM`
        room: String,
        /// `TOKEN`
        token: Option<String>,
        /// `HEADER`
        header: Option<(String, String)>,
        /// The content of `BODY_FILE`, and `CONTENT_TYPE`.
        body: Option<(String, String)>,
    },
    /// Mail.
    Mail {
        /// `SENDMAIL`, or `SERVER` and the settings of its kind.
        way: Way,
        /// `FROM`
        from: Mailbox,
        /// `TO`
        to: Vec<Mailbox>,
    },
    /// Reports to `AbuseIPDB`.
    AbuseIpDb {
        /// `URL`
        url: String,
        /// `KEY`
        key: String,
    },
}

/// Reads the target of a channel of this kind. `host` is this host's name.
pub(super) fn read(kind: &str, section: &Section<'_>, host: &str, report: &mut Report) -> Option<Target> {
    let text = |name: &str| section.values.get(name).map(|value| value.text().to_owned());
    match kind {
        "mail" => mail(section, host, report),
        "abuseipdb" => {
            let given = section.values.get("URL").map(|value| url(*value, report));
            let service = given.unwrap_or_else(|| Some(abuseipdb::SERVICE.into()));
            let key = needed(section, "KEY", report)?.text().to_owned();
            Some(Target::AbuseIpDb { url: service?.trim_end_matches('/').into(), key })
        }
        _ => {
            let preset = *PRESETS.iter().find(|preset| preset.name == kind)?;
            let given = needed(section, "URL", report).and_then(|value| url(value, report));
            let room = if preset.room.is_empty() { None } else { needed(section, preset.room, report) };
            let header = section.values.get("HEADER").and_then(|value| header(*value, report));
            let body = section.values.get("BODY_FILE").and_then(|value| body(*value, report));
            let content = text("CONTENT_TYPE").unwrap_or_else(|| "application/json".into());
            Some(Target::Webhook {
                preset,
                url: given?,
                room: room.map(|room| room.text().to_owned()).unwrap_or_default(),
                token: text("TOKEN"),
                header,
                body: body.map(|body| (body, content)),
            })
        }
    }
}

/// Returns a setting that the channel can't do without.
fn needed<'a>(section: &Section<'a>, name: &str, report: &mut Report) -> Option<Span<'a>> {
    let value = section.values.get(name).copied();
    if value.is_none()
        && let Some(at) = section.name
    {
        report.error(at, format!("[{}] has no {name}", at.text()));
    }
    value
}

pub(super) fn header(value: Span<'_>, report: &mut Report) -> Option<(String, String)> {
    let split = value.split_once(':').map(|(name, content)| (name.trim().text(), content.trim().text()));
    let is_good = |(name, content): &(&str, &str)| {
        HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_str(content).is_ok()
    };
    let Some((name, content)) = split.filter(is_good) else {
        report.error(value, "this is no header").help("write Name: value");
        return None;
    };
    Some((name.into(), content.into()))
}

fn body(value: Span<'_>, report: &mut Report) -> Option<String> {
    let file = path(value, report)?;
    match fs::read_to_string(&file) {
        Ok(text) => {
            for name in template::unknown(&text) {
                report
                    .error(value, format!("{} contains ${name}$, which stands for nothing", file.display()));
            }
            Some(text)
        }
        Err(error) => {
            report.error(value, format!("{} can't be read: {error}", file.display()));
            None
        }
    }
}

fn mailbox(value: Span<'_>, report: &mut Report) -> Option<Mailbox> {
    match value.text().parse() {
        Ok(mailbox) => Some(mailbox),
        Err(error) => {
            report.error(value, format!("this is no mail address: {error}")).help("write root@example.org");
            None
        }
    }
}

fn mail(section: &Section<'_>, host: &str, report: &mut Report) -> Option<Target> {
    let value = |name: &str| section.values.get(name).copied();
    let to = needed(section, "TO", report).map(|to| {
        let given: Vec<Span<'_>> = to.split(',').filter(|one| !one.is_empty()).collect();
        if given.is_empty() {
            report.error(to, "this has no mail address").help("write root@example.org");
        }
        given.into_iter().filter_map(|one| mailbox(one, report)).collect::<Vec<_>>()
    });
    let from = match value("FROM") {
        Some(from) => mailbox(from, report),
        None => format!("portsentry@{host}").parse().ok().or_else(|| "portsentry@localhost".parse().ok()),
    };
    let way = match value("SENDMAIL") {
        Some(program) => self::program(program, section, report).map(Way::Program),
        None => server(section, report).map(Way::Server),
    };
    Some(Target::Mail { way: way?, from: from?, to: to? })
}

/// Reads `SENDMAIL`, which leaves no use for the settings of a server.
fn program(program: Span<'_>, section: &Section<'_>, report: &mut Report) -> Option<PathBuf> {
    for name in ["SERVER", "SERVER_TLS", "USER", "PASSWORD"] {
        if let Some(span) = section.values.get(name) {
            report.error(
                *span,
                format!("{name} is for a server, and SENDMAIL sends the mail, so it has no meaning here"),
            );
        }
    }
    let path = path(program, report)?;
    if !path.exists() {
        report.warn(program, format!("{} is missing", path.display()));
    }
    Some(path)
}

/// Reads `SERVER` and the settings of its kind.
fn server(section: &Section<'_>, report: &mut Report) -> Option<Server> {
    let value = |name: &str| section.values.get(name).copied();
    let (name, port) = match value("SERVER") {
        None => ("localhost".to_owned(), 25),
        Some(server) => {
            let split =
                server.text().rsplit_once(':').and_then(|(name, port)| Some((name, port.parse().ok()?)));
            let Some((name, port)) = split.filter(|(name, _)| !name.is_empty()) else {
                report.error(server, "this is no server with its port").help("write mail.example.org:587");
                return None;
            };
            (name.trim_matches(['[', ']']).to_owned(), port)
        }
    };
    let is_local = ["localhost", "127.0.0.1", "::1"].contains(&name.as_str());
    let security = match value("SERVER_TLS").map(|word| one_of(word, report, &["starttls", "tls", "off"])) {
        None if port == 465 => Security::Tls,
        None if is_local => Security::Off,
        None => Security::Starttls,
        Some(word) => match word?.as_str() {
            "tls" => Security::Tls,
            "off" => Security::Off,
            _ => Security::Starttls,
        },
    };
    let login = match (value("USER"), value("PASSWORD")) {
        (Some(user), Some(password)) => Some((user.text().to_owned(), password.text().to_owned())),
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => {
            report.error(one, "USER and PASSWORD belong together");
            None
        }
    };
    if let Some(at) = value("PASSWORD").filter(|_| security == Security::Off && !is_local) {
        report
            .error(at, "this password would be sent without encryption")
            .help("set SERVER_TLS=\"starttls\"");
    }
    Some(Server { host: name, port, security, login })
}
