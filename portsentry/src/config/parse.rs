//! Converts lines to a `Config`: determines the line that sets each key, and the lines that are skipped, with
//! reasons.

use std::{collections::HashMap, path::Path};

use super::{
    Config, Response, keys,
    lexer::{Entry, Value, entries},
    near_miss,
    report::Report,
    span::Span,
};

pub(super) fn parse(text: &str, file: &str) -> Result<(Config, Report), Report> {
    let (config, report) = read(text, file);
    if report.has_errors() { Err(report) } else { Ok((config, report)) }
}

/// Reads the valid settings in `text`, and reports the rest.
pub(super) fn read(text: &str, file: &str) -> (Config, Report) {
    let mut config = Config::default();
    let mut report = Report::new(file);
    let mut set = HashMap::new();
    for entry in entries(text) {
        match entry {
            Entry::NotASetting(line) if near_miss::is_no_setting(line, &mut report) => {}
            Entry::NotASetting(line) => {
                report.warn(line, "this line is not a setting; ignored").help("write KEY=\"value\"");
            }
            Entry::Setting { key, value } => match keys::find(key.text()) {
                Some(known) => apply(known, key, value, &mut set, &mut config, &mut report),
                None if near_miss::is_misspelt(key, value, &mut report) => {}
                None => unknown(key, &mut report),
            },
        }
    }
    check(&config, file, &set, &mut report);
    report.sort();
    (config, report)
}

/// The value of each key.
type Set<'a> = HashMap<&'static str, Span<'a>>;

fn apply<'a>(
    known: &keys::Key,
    key: Span<'_>,
    value: Value<'a>,
    set: &mut Set<'a>,
    config: &mut Config,
    report: &mut Report,
) {
    let text = match value {
        Value::Quoted { text, rest } => {
            if !rest.is_empty() {
                report.warn(rest, "the text after the closing quote is ignored");
            }
            text
        }
        // 1.2 ignores the line, too, with a message.
        Value::Unquoted(text) => {
            let message = format!("{} ignored: its value is not in quotes", known.name);
            // Otherwise nothing would be blocked, against what the line says.
            if let Some(name) =
                near_miss::arming(known.name).filter(|_| near_miss::arms(near_miss::text_of(value)))
            {
                report.error(text, message).help(format!("write {name}=\"1\""));
            } else {
                report.warn(text, message).help(format!("write {}=\"...\"", known.name));
            }
            return;
        }
        Value::Unclosed(text) => {
            report.error(text, "this quote is never closed");
            // The file is refused. Commands that continue in any case use the evident value.
            let evident = text.split_at(1).1.trim();
            if !evident.is_empty() && !evident.text().contains(char::is_control) {
                (known.set)(config, evident, &mut Report::new(""));
            }
            return;
        }
    };
    if let Some(first) = set.get(known.name) {
        let message =
            format!("{} is already set in line {}, which takes precedence", known.name, first.line.number);
        let is_disarmed = near_miss::arming(known.name).is_some()
            && near_miss::arms(text.text())
            && !near_miss::arms(first.text());
        if is_disarmed {
            report.error(key, message).help(format!("change line {}", first.line.number));
        } else {
            report.warn(key, message);
        }
        return;
    }
    set.insert(known.name, text);
    if let Some(at) = text.text().find(|c: char| c.is_control() && c != '\t') {
        let (_, rest) = text.split_at(at);
        let length = rest.text().chars().next().map_or(0, char::len_utf8);
        report.error(rest.slice(0..length), "a value can't contain control characters");
    } else if !text.text().trim_ascii().is_empty() {
        (known.set)(config, text, report);
    } else if !known.default.is_empty() {
        report.warn(text, format!("{} is empty, so it is \"{}\"", known.name, known.default));
    }
}

fn unknown(key: Span<'_>, report: &mut Report) {
    let name = key.text();
    let added = report.warn(key, format!("unknown setting {name}; ignored"));
    if let Some(known) = near_miss::nearest(name, keys::all().map(|known| known.name)) {
        added.help(format!("did you mean {known}?"));
    }
}

/// Checks that need all lines.
fn check(config: &Config, file: &str, set: &Set<'_>, report: &mut Report) {
    for (key, response) in [("BLOCK_TCP", config.block_tcp), ("BLOCK_UDP", config.block_udp)] {
        if let Some(span) = set.get(key)
            && response == Response::CommandOnly
            && !set.contains_key("KILL_RUN_CMD")
        {
            report.warn(*span, "this only runs KILL_RUN_CMD, which is not set, so it does nothing");
        }
    }
    if let Some(span) = set.get("CONFIG_FILE").filter(|span| Path::new(span.text()) != Path::new(file)) {
        report.warn(*span, "this is not the file being read; use -c to read another one");
    }
}
