//! Values of settings. Each function returns the value, or reports the error and returns `None`.

use std::path::PathBuf;

use ipnet::IpNet;
use jiff::civil::Time;
use portsentry::{
    config::{Report, syntax::Span},
    inspect::select::network,
    policy::kind_names,
};

use crate::route::Choice;

/// Longest time, in seconds.
const LONGEST: u64 = 30 * 86400;

fn wrong<T>(value: Span<'_>, report: &mut Report, message: impl Into<String>, help: &str) -> Option<T> {
    report.error(value, message).help(help);
    None
}

/// A whole number followed by one of these units.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(known, _)| *known == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// A time such as `90s`, `15m`, `1h`, `1d`, in seconds.
pub(super) fn seconds(value: Span<'_>, report: &mut Report) -> Option<i64> {
    const UNITS: [(&str, u64); 5] = [("", 1), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400)];
    let found = scaled(value.text(), &UNITS).filter(|seconds| *seconds <= LONGEST);
    match found.and_then(|seconds| i64::try_from(seconds).ok()) {
        None => wrong(value, report, "this is no time of at most 30 days", "write 90s, 15m, 1h or 1d"),
        seconds => seconds,
    }
}

/// A size such as `16M`, in bytes.
pub(super) fn size(value: Span<'_>, report: &mut Report) -> Option<usize> {
    const UNITS: [(&str, u64); 4] = [("", 1), ("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30)];
    let found = scaled(value.text(), &UNITS).filter(|bytes| (64 << 10..=1 << 30).contains(bytes));
    match found.and_then(|bytes| usize::try_from(bytes).ok()) {
        None => wrong(value, report, "this is no size from 64K to 1G", "write 16M"),
        bytes => bytes,
    }
}

/// A number from 1.
pub(super) fn number(value: Span<'_>, report: &mut Report) -> Option<u64> {
    match value.text().parse().ok().filter(|number| (1..=1_000_000).contains(number)) {
        None => wrong(value, report, "this is no number from 1 to 1000000", "write 1000"),
        number => number,
    }
}

/// `1` or `0`.
pub(super) fn switch(value: Span<'_>, report: &mut Report) -> Option<bool> {
    match value.text() {
        "0" => Some(false),
        "1" => Some(true),
        _ => wrong(value, report, "this is neither 0 nor 1", "write 1 for yes"),
    }
}

/// A number of messages in a time: `20/1h`.
pub(super) fn rate(value: Span<'_>, report: &mut Report) -> Option<(usize, i64)> {
    let Some((count, time)) = value.split_once('/') else {
        return wrong(value, report, "this is no number of messages in a time", "write 20/1h");
    };
    let count = number(count.trim(), report).and_then(|count| usize::try_from(count).ok());
    let time = if time.trim().text().starts_with(|first: char| first.is_ascii_digit()) {
        seconds(time.trim(), report)
    } else {
        wrong(time, report, "this is no time", "write 20/1h")
    };
    Some((count?.min(1000), time?.max(1)))
}

/// A time of the day: `08:00`.
pub(super) fn clock(value: Span<'_>, report: &mut Report) -> Option<Time> {
    let is_form = value.text().len() == 5;
    match format!("{}:00", value.text()).parse::<Time>().ok().filter(|_| is_form) {
        None => wrong(value, report, "this is no time of the day", "write 08:00"),
        time => time,
    }
}

/// Hours: `22:00-07:00`.
pub(super) fn hours(value: Span<'_>, report: &mut Report) -> Option<(Time, Time)> {
    let Some((start, end)) = value.split_once('-') else {
        return wrong(value, report, "these are no hours of the day", "write 22:00-07:00");
    };
    let (start, end) = (clock(start.trim(), report)?, clock(end.trim(), report)?);
    if start == end {
        return wrong(value, report, "these hours have the same start and end", "write 22:00-07:00");
    }
    Some((start, end))
}

/// An absolute path.
pub(super) fn path(value: Span<'_>, report: &mut Report) -> Option<PathBuf> {
    let path = PathBuf::from(value.text());
    if path.is_relative() {
        wrong(value, report, "this path must start with a slash", "write /...")
    } else {
        Some(path)
    }
}

/// An address of a web server.
pub(super) fn url(value: Span<'_>, report: &mut Report) -> Option<String> {
    let text = value.text();
    let uri = text.parse::<ureq::http::Uri>().ok();
    let is_good = uri.is_some_and(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    if !is_good || !["https://", "http://"].iter().any(|scheme| text.starts_with(scheme)) {
        return wrong(value, report, "this is no URL", "write https://...");
    }
    Some(text.into())
}

/// Whether a URL leads to this host.
pub(super) fn is_loopback(url: &str) -> bool {
    let uri = url.parse::<ureq::http::Uri>().ok();
    uri.as_ref().and_then(|uri| uri.host()).is_some_and(|host| {
        host == "localhost"
            || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    })
}

/// Words separated by spaces or commas.
pub(super) fn words(value: Span<'_>) -> Vec<Span<'_>> {
    value
        .split(',')
        .flat_map(|part| part.split(' ').collect::<Vec<_>>())
        .filter(|word| !word.is_empty())
        .collect()
}

/// A list of words to include, and of `!` words to exclude. `read` reads one.
pub(super) fn choice<'a, T>(
    value: Span<'a>,
    report: &mut Report,
    read: impl Fn(Span<'a>, &mut Report) -> Option<T>,
) -> Choice<T> {
    let (mut include, mut exclude) = (Vec::new(), Vec::new());
    for word in words(value) {
        if word.text().starts_with('!') {
            exclude.extend(read(word.split_at(1).1, report));
        } else {
            include.extend(read(word, report));
        }
    }
    Choice { include, exclude }
}

/// One of these words.
pub(super) fn one_of(value: Span<'_>, report: &mut Report, known: &[&str]) -> Option<String> {
    let text = value.text().to_ascii_lowercase();
    if known.contains(&text.as_str()) {
        return Some(text);
    }
    let message = format!("\"{}\" is not a valid choice", value.text().escape_debug());
    wrong(value, report, message, &format!("choose one of: {}", known.join(", ")))
}

/// A kind of probe or scan. A name of two words, such as `slow scan`, is written with a hyphen.
pub(super) fn kind(value: Span<'_>, report: &mut Report) -> Option<String> {
    let known: Vec<String> = kind_names().map(|name| name.replace(' ', "-")).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    Some(one_of(value, report, &known)?.replace('-', " "))
}

/// A country's code.
pub(super) fn country(value: Span<'_>, report: &mut Report) -> Option<String> {
    let text = value.text();
    if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Some(text.to_ascii_uppercase());
    }
    wrong(value, report, "this is no code of a country (ISO 3166-1)", "write DE")
}

/// An address or a network.
pub(super) fn net(value: Span<'_>, report: &mut Report) -> Option<IpNet> {
    match network(value.text()) {
        Ok(network) => Some(network),
        Err(help) => wrong(value, report, "this is no network", &help),
    }
}
