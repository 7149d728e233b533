//! Converts lines to a `Config`: determines the line that sets each key, and the lines that are skipped, with
//! reasons.

use std::path::Path;

use super::{
    Config, Response, keys,
    lexer::{Entry, Value, entries},
    near_miss,
    report::Report,
    settings::{Set, Settings},
    span::Span,
};

/// The text of one file of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The file's name in errors and warnings.
    pub file: String,
    /// Its content.
    pub text: String,
}

/// Reads the valid settings of the configuration file, the first of `files`, and of its drop-ins, and reports the rest. Each
/// setting has the value of the last file that sets it.
pub(super) fn read(files: &[Text]) -> (Config, Report, Settings) {
    let mut parsed: Vec<_> = files.iter().map(Parsed::new).collect();
    let mut config = Config::default();
    for (index, file) in parsed.iter().enumerate() {
        for (key, value) in &file.assigned {
            if !parsed[index + 1..].iter().any(|later| later.sets(key.name)) {
                // Its errors are in the file's report.
                (key.set)(&mut config, *value, &mut Report::new(""));
            }
        }
    }
    check(&config, &mut parsed);
    let set: Vec<_> = files.iter().zip(&parsed).map(|(file, parsed)| (&*file.file, &parsed.set)).collect();
    let settings = Settings::new(&set);
    let mut report = Report::new(files.first().map_or("", |file| &file.file));
    parsed.into_iter().for_each(|file| report.append(file.report));
    (config, report, settings)
}

/// One file's content.
struct Parsed<'a> {
    set: Set<'a>,
    /// The values to set, in the order of their lines. Differs from `set` in values that are blank or damaged.
    assigned: Vec<(&'static keys::Key, Span<'a>)>,
    /// The settings of this file alone.
    config: Config,
    report: Report,
}

impl<'a> Parsed<'a> {
    fn new(file: &'a Text) -> Self {
        let mut parsed = Self {
            set: Set::new(),
            assigned: Vec::new(),
            config: Config::default(),
            report: Report::new(&file.file),
        };
        for entry in entries(&file.text) {
            match entry {
                Entry::NotASetting(line) if near_miss::is_no_setting(line, &mut parsed.report) => {}
                Entry::NotASetting(line) => {
                    let warning = parsed.report.warn(line, "this line is not a setting; ignored");
                    warning.help("write KEY=\"value\"");
                }
                Entry::Setting { key, value } => match keys::find(key.text()) {
                    Some(known) => parsed.apply(known, key, value),
                    None if near_miss::is_misspelt(key, value, &mut parsed.report) => {}
                    None => unknown(key, &mut parsed.report),
                },
            }
        }
        parsed
    }

    /// Whether the file has a line for the setting called `name`.
    fn sets(&self, name: &str) -> bool {
        self.set.contains_key(name) || self.assigned.iter().any(|(key, _)| key.name == name)
    }

    fn apply(&mut self, known: &'static keys::Key, key: Span<'_>, value: Value<'a>) {
        let report = &mut self.report;
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
                    self.assigned.push((known, evident));
                }
                return;
            }
        };
        if let Some(first) = self.set.get(known.name) {
            let message = format!(
                "{} is already set in line {}, which takes precedence",
                known.name, first.line.number
            );
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
        self.set.insert(known.name, text);
        if let Some(at) = text.text().find(|c: char| c.is_control() && c != '\t') {
            let (_, rest) = text.split_at(at);
            let length = rest.text().chars().next().map_or(0, char::len_utf8);
            report.error(rest.slice(0..length), "a value can't contain control characters");
        } else if !text.text().trim_ascii().is_empty() {
            (known.set)(&mut self.config, text, report);
            self.assigned.push((known, text));
        } else if !known.default.is_empty() {
            report.warn(text, format!("{} is empty, so it is \"{}\"", known.name, known.default));
        }
    }
}

fn unknown(key: Span<'_>, report: &mut Report) {
    let name = key.text();
    let added = report.warn(key, format!("unknown setting {name}; ignored"));
    if let Some(known) = near_miss::nearest(name, keys::all().map(|known| known.name)) {
        added.help(format!("did you mean {known}?"));
    }
}

/// Checks that need all lines of all files. Sorts the findings.
fn check(config: &Config, files: &mut [Parsed<'_>]) {
    let has_command = files.iter().any(|file| file.set.contains_key("KILL_RUN_CMD"));
    for (key, response) in [("BLOCK_TCP", config.block_tcp), ("BLOCK_UDP", config.block_udp)] {
        let effective = files.iter_mut().rev().find(|file| file.set.contains_key(key));
        if response == Response::CommandOnly
            && !has_command
            && let Some(file) = effective
        {
            file.report
                .warn(file.set[key], "this only runs KILL_RUN_CMD, which is not set, so it does nothing");
        }
    }
    let main = files.first().map(|file| file.report.file().to_owned()).unwrap_or_default();
    for file in &mut *files {
        if let Some(span) =
            file.set.get("CONFIG_FILE").filter(|span| Path::new(span.text()) != Path::new(&main))
        {
            file.report.warn(*span, "this is not the file being read; use -c to read another one");
        }
        file.report.sort();
    }
}
