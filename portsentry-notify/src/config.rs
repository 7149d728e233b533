//! The configuration file, `notify.conf`: settings for all channels, then a section for each channel.

mod build;
mod content;
pub mod keys;
mod list;
mod section;
mod target;
mod value;

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use portsentry::config::{LoadError, Report, trusted_text};

pub use self::{
    content::{Config, Settings},
    target::Target,
};

/// Maximum size of a file in bytes.
const LARGEST: u64 = 1 << 20;

/// Reasons why the file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It can't be read or trusted, or it has errors.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Other users may read it.
    #[error("{0} may hold passwords, and other users may read it: chmod o-r {0}")]
    Readable(PathBuf),
}

/// Reads the file.
pub fn load(path: &Path) -> Result<(Config, Report), Error> {
    let text = trusted_text(path, LARGEST)?;
    let metadata = fs::metadata(path).map_err(|source| LoadError::Io { path: path.into(), source })?;
    if metadata.mode() & 0o004 != 0 {
        return Err(Error::Readable(path.into()));
    }
    Ok(parse(&text, &path.to_string_lossy()).map_err(LoadError::from)?)
}

/// Reads a text. `file` is its name in errors.
pub fn parse(text: &str, file: &str) -> Result<(Config, Report), Report> {
    let mut report = Report::new(file);
    let sections = section::read(text, &mut report);
    let config = build::config(&sections, &mut report);
    report.into_result(config)
}

#[cfg(test)]
mod tests;
