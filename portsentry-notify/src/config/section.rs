//! Splits the file into sections.

use std::collections::HashMap;

use portsentry::config::{
    Report,
    syntax::{Entry, Span, Value, entries, nearest},
};

use super::keys::KEYS;

/// Longest name of a section, which is part of a file's name.
const LONGEST: usize = 64;

/// A section, or the lines before the first one.
#[derive(Debug)]
pub(super) struct Section<'a> {
    /// Its name; `None` for the lines before the first section.
    pub(super) name: Option<Span<'a>>,
    /// The values that are not blank.
    pub(super) values: HashMap<&'static str, Span<'a>>,
}

/// Reads the sections.
pub(super) fn read<'a>(text: &'a str, report: &mut Report) -> Vec<Section<'a>> {
    let mut sections = vec![Section { name: None, values: HashMap::new() }];
    for entry in entries(text) {
        match entry {
            Entry::NotASetting(line) => match name(line, report) {
                Some(name) => {
                    let is_name =
                        |section: &Section<'_>| section.name.is_some_and(|it| it.text() == name.text());
                    if sections.iter().any(is_name) {
                        report.error(name, format!("there is already a section [{}]", name.text()));
                    }
                    sections.push(Section { name: Some(name), values: HashMap::new() });
                }
                None => {
                    report
                        .error(line, "this line is neither a setting nor a section")
                        .help("write KEY=\"value\" or [name]");
                }
            },
            Entry::Setting { key, value } => {
                if let Some(section) = sections.last_mut() {
                    section.take(key, value, report);
                }
            }
        }
    }
    sections
}

/// Returns the name in `[name]`.
fn name<'a>(line: Span<'a>, report: &mut Report) -> Option<Span<'a>> {
    let text = line.text();
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let name = line.slice(1..1 + inner.len()).trim();
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if name.is_empty() || name.text().len() > LONGEST || !name.text().bytes().all(is_good) {
        report
            .error(name, "this is no name for a section")
            .help("letters, digits, - and _, at most 64 of them");
    }
    Some(name)
}

impl<'a> Section<'a> {
    fn take(&mut self, key: Span<'a>, value: Value<'a>, report: &mut Report) {
        let Some(known) = KEYS.iter().find(|known| known.name == key.text()) else {
            let added = report.error(key, format!("unknown setting {}", key.text()));
            if let Some(near) = nearest(key.text(), KEYS.iter().map(|known| known.name)) {
                added.help(format!("did you mean {near}?"));
            }
            return;
        };
        match (known.channels.is_empty(), self.name.is_some()) {
            (true, true) => {
                report
                    .error(key, format!("{} is for all channels", known.name))
                    .help("put it before the first section");
                return;
            }
            (false, false) => {
                report
                    .error(key, format!("{} is a channel's setting", known.name))
                    .help("begin a section before it: [name]");
                return;
            }
            _ => {}
        }
        let text = match value {
            Value::Quoted { text, rest } => {
                if !rest.is_empty() {
                    report.error(rest, "there is text after the closing quote");
                }
                text
            }
            Value::Unquoted(text) => {
                let text = if text.is_empty() { key } else { text };
                report
                    .error(text, "the value is not in quotes")
                    .help(format!("write {}=\"...\"", known.name));
                return;
            }
            Value::Unclosed(text) => {
                report.error(text, "this quote is never closed");
                return;
            }
        };
        if text.text().contains(char::is_control) {
            report.error(text, "a value can't contain control characters");
        } else if let Some(first) = self.values.get(known.name) {
            report.error(key, format!("{} is already set in line {}", known.name, first.line.number));
        } else if !text.trim().is_empty() {
            self.values.insert(known.name, text.trim());
        }
    }
}
