//! The file and line that each setting's value comes from.

use std::{collections::HashMap, fmt, path::Path};

use serde::Serialize;

use super::{keys, span::Span};

/// The value of each setting in one file.
pub(super) type Set<'a> = HashMap<&'static str, Span<'a>>;

/// The settings that the configuration file and its drop-ins set, in the order of the reference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The files, in the order in which they are read: the configuration file, then its drop-ins.
    pub files: Vec<String>,
    /// The settings.
    pub set: Vec<Setting>,
}

/// A setting, and where it is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its name.
    pub key: &'static str,
    /// Its value, as written.
    pub value: String,
    /// The line that sets it.
    #[serde(flatten)]
    pub origin: Line,
    /// Lines in earlier files that this one overrides.
    pub overrides: Vec<Line>,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The file.
    pub file: String,
    /// Its number, counted from 1.
    pub line: usize,
}

impl Settings {
    /// Returns the settings of the files, given those of each one.
    pub(super) fn new(files: &[(&str, &Set<'_>)]) -> Self {
        let of = |key: &keys::Key| {
            let mut lines: Vec<_> = files
                .iter()
                .filter_map(|(file, set)| Some((file, set.get(key.name)?)))
                .map(|(file, span)| (Line { file: (*file).to_owned(), line: span.line.number }, span.text()))
                .collect();
            let (origin, value) = lines.pop()?;
            let overrides = lines.into_iter().map(|(line, _)| line).collect();
            Some(Setting { key: key.name, value: value.to_owned(), origin, overrides })
        };
        Self {
            files: files.iter().map(|(file, _)| (*file).to_owned()).collect(),
            set: keys::all().filter_map(of).collect(),
        }
    }

    /// Returns the drop-ins that were read.
    #[must_use]
    pub fn drop_ins(&self) -> &[String] {
        self.files.get(1..).unwrap_or_default()
    }

    /// Returns the setting called `key`, if a file sets it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.set.iter().find(|setting| setting.key == key)
    }

    /// Returns the setting called `key` if a drop-in sets it, so that a change of the configuration file has no effect.
    #[must_use]
    pub fn of_drop_in(&self, key: &str) -> Option<&Setting> {
        self.get(key).filter(|setting| self.drop_ins().contains(&setting.origin.file))
    }

    /// Returns the settings of drop-ins that override one of another file.
    pub fn overriding(&self) -> impl Iterator<Item = &Setting> {
        self.set.iter().filter(|setting| !setting.overrides.is_empty())
    }
}

impl Line {
    /// Returns the line without the file's directory.
    #[must_use]
    pub fn in_short(&self) -> String {
        let name = Path::new(&self.file).file_name().unwrap_or_default();
        format!("{}:{}", name.display(), self.line)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=\"{}\" from {}", self.key, self.value, self.origin)?;
        let mut before = ", overriding ";
        for line in &self.overrides {
            write!(f, "{before}{line}")?;
            before = " and ";
        }
        Ok(())
    }
}
