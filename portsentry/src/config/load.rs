//! Reads a configuration from text or from files.

use std::path::{Path, PathBuf};

use super::{
    Config, LoadError, Report, Settings, drop_ins,
    parse::{self, Text},
    read,
};

/// A configuration, and all that is to be said about its files.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration. A wrong setting has its default.
    pub config: Config,
    /// The errors and warnings about lines.
    pub report: Report,
    /// The drop-ins that can't be used.
    pub refused: Vec<LoadError>,
    /// The files that the values come from.
    pub settings: Settings,
}

impl Loaded {
    /// Reads a configuration of several files: the configuration file, then its drop-ins.
    #[must_use]
    pub fn new(files: &[Text]) -> Self {
        let (config, report, settings) = parse::read(files);
        Self { config, report, refused: Vec::new(), settings }
    }
}

impl Config {
    /// Reads a configuration. `file` is its name in errors and warnings.
    pub fn parse(text: &str, file: &str) -> Result<(Self, Report), Report> {
        let Loaded { config, report, .. } = Loaded::new(&[Text { file: file.into(), text: text.into() }]);
        if report.has_errors() { Err(report) } else { Ok((config, report)) }
    }

    /// Reads the configuration file at `path` and its drop-ins, if they can be trusted (see [`LoadError`]), even if they have
    /// errors.
    pub fn read(path: &Path) -> Result<Loaded, LoadError> {
        let mut files = vec![text(path, read::read(path)?)];
        let mut refused = Vec::new();
        for drop_in in listed(path, &mut refused) {
            match read::read(&drop_in) {
                Ok(content) => files.push(text(&drop_in, content)),
                Err(problem) => refused.push(problem),
            }
        }
        Ok(Loaded { refused, ..Loaded::new(&files) })
    }
}

/// Returns the paths of the drop-ins of the configuration file at `path`.
pub(super) fn listed(path: &Path, refused: &mut Vec<LoadError>) -> Vec<PathBuf> {
    match drop_ins::list(path) {
        Ok(found) => found.read,
        Err(problem) => {
            refused.push(problem);
            Vec::new()
        }
    }
}

/// Returns the content of the file at `path`, with its name.
pub(super) fn text(path: &Path, text: String) -> Text {
    Text { file: path.to_string_lossy().into(), text }
}
