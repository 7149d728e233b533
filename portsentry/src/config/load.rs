//! Reads a configuration from text or a file.

use std::path::Path;

use super::{Config, LoadError, Report, parse, read};

impl Config {
    /// Reads a configuration. `file` is its name in errors and warnings.
    pub fn parse(text: &str, file: &str) -> Result<(Self, Report), Report> {
        parse::parse(text, file)
    }

    /// Reads the configuration file at `path` even if it has errors: a wrong setting gets its default.
    pub fn read(path: &Path) -> Result<(Self, Report), LoadError> {
        Ok(parse::read(&read::read(path)?, &path.to_string_lossy()))
    }

    /// Reads the configuration file at `path` if it can be trusted (see [`LoadError`]).
    pub fn load(path: &Path) -> Result<(Self, Report), LoadError> {
        Ok(Self::parse(&read::read(path)?, &path.to_string_lossy())?)
    }
}
