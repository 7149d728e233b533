//! Builds the configuration from the sections.

use std::path::PathBuf;

use portsentry::{
    config::{Report, syntax::Span},
    sink::event::ACTIONS,
};

use super::{
    content::{Config, Settings},
    keys::KEYS,
    list,
    section::Section,
    target::{self, Target},
    value,
};
use crate::{channel::webhook::PRESETS, event::LEVELS, pace::Pace, route::Route};

/// Interval in which `AbuseIPDB` takes a source once, in seconds.
const ONCE: i64 = 900;
/// Number of reports a day that an account without a plan may send.
const REPORTS: u64 = 1000;
const EVENTS: [&str; 4] = ["block", "fence", "full", "error"];

/// Builds the configuration; wrong values get their defaults, and are reported.
pub(super) fn config(sections: &[Section<'_>], report: &mut Report) -> Config {
    let global = |name: &str| sections.first().and_then(|section| section.values.get(name).copied());
    let mut path = |name: &str, default: &str| -> PathBuf {
        global(name).and_then(|value| value::path(value, report)).unwrap_or_else(|| default.into())
    };
    let socket = path("CONTROL_SOCKET", "/run/portsentry/control.sock");
    let spool = path("SPOOL_DIRECTORY", "/var/lib/portsentry-notify");
    let size = global("SPOOL_SIZE").and_then(|value| value::size(value, report)).unwrap_or(16 << 20);
    let host = global("HOST_NAME").map_or_else(crate::host::name, |value| value.text().to_owned());
    let redact = global("REDACT")
        .map(|value| value::words(value).iter().map(|word| word.text().to_lowercase()).collect());
    let (of_lists, others): (Vec<_>, Vec<_>) =
        sections.iter().skip(1).partition(|section| section.values.contains_key("LIST"));
    let lists = of_lists.into_iter().filter_map(|section| list::read(section, report)).collect();
    let channels = others.into_iter().filter_map(|section| channel(section, &host, report)).collect();
    Config { socket, spool, size, host, redact: redact.unwrap_or_default(), lists, channels }
}

fn channel(section: &Section<'_>, host: &str, report: &mut Report) -> Option<Settings> {
    let name = section.name?;
    let kinds: Vec<&str> =
        ["mail", "abuseipdb"].into_iter().chain(PRESETS.iter().map(|preset| preset.name)).collect();
    let Some(kind) = section.values.get("CHANNEL") else {
        report
            .error(name, format!("[{}] has no CHANNEL", name.text()))
            .help(format!("one of: {}", kinds.join(", ")));
        return None;
    };
    let kind = value::one_of(*kind, report, &kinds)?;
    let mut others: Vec<(&&str, &Span<'_>)> = section.values.iter().collect();
    others.sort_by_key(|(_, span)| span.line.number);
    for (name, span) in others {
        if KEYS.iter().any(|key| key.name == *name && !key.is_of(&kind)) {
            report.error(*span, format!("a channel of kind {kind} has no {name}"));
        }
    }
    let (mut route, mut pace) = (route(section, report), pace(section, report));
    let target = target::read(&kind, section, host, report);
    if kind == "abuseipdb" {
        route.events.include = vec!["block".into()];
        route.proven = true;
        pace.once = pace.once.max(ONCE);
        pace.daily = pace.daily.or(Some(REPORTS));
        for name in ["DIGEST", "BATCH", "EVENTS"] {
            if let Some(span) = section.values.get(name) {
                report.error(*span, format!("each report is about one block, so {name} has no meaning here"));
            }
        }
    }
    if let (Target::Webhook { url, token: Some(_), .. }, Some(span)) =
        (target.as_ref()?, section.values.get("URL"))
        && url.starts_with("http://")
        && !value::is_loopback(url)
    {
        report.warn(*span, "the token is sent without encryption").help("write https://...");
    }
    Some(Settings { name: name.text().into(), route, pace, target: target? })
}

fn route(section: &Section<'_>, report: &mut Report) -> Route {
    let value = |name: &str| section.values.get(name).copied();
    let actions: Vec<&str> = ACTIONS.iter().map(|(_, word, ..)| *word).collect();
    let mut route = Route::default();
    match value("EVENTS") {
        None => route.events.include = EVENTS.map(String::from).into(),
        Some(all) if all.text() == "all" => {}
        Some(words) => {
            route.events = value::choice(words, report, |word, report| value::one_of(word, report, &actions));
        }
    }
    let severity = value("SEVERITY").and_then(|word| value::one_of(word, report, &LEVELS));
    route.severity = severity.and_then(|word| LEVELS.iter().position(|level| *level == word));
    if let Some(words) = value("KINDS") {
        route.kinds = value::choice(words, report, value::kind);
    }
    if let Some(words) = value("COUNTRIES") {
        route.countries = value::choice(words, report, value::country);
    }
    if let Some(words) = value("NETWORKS") {
        route.networks = value::choice(words, report, value::net);
    }
    route.proven = value("PROVEN").and_then(|word| value::switch(word, report)).unwrap_or_default();
    route
}

fn pace(section: &Section<'_>, report: &mut Report) -> Pace {
    let value = |name: &str| section.values.get(name).copied();
    let batch = value("BATCH").and_then(|it| value::seconds(it, report)).unwrap_or_default();
    let digest = value("DIGEST").and_then(|it| value::clock(it, report));
    if let (Some(_), Some(span)) = (digest, value("BATCH")) {
        report.error(span, "a digest gathers the events of a day, so BATCH has no meaning here");
    }
    Pace {
        batch,
        digest,
        rate: value("RATE").and_then(|it| value::rate(it, report)),
        quiet: value("QUIET_HOURS").and_then(|it| value::hours(it, report)),
        daily: value("DAILY_LIMIT").and_then(|it| value::number(it, report)),
        once: value("ONCE").and_then(|it| value::seconds(it, report)).unwrap_or_default(),
    }
}
