//! The reasons why a configuration or ignore file can't be used.

use std::{io, path::PathBuf};

use thiserror::Error;

use super::report::Report;

/// Reasons why a configuration or ignore file can't be used. Root reads both, and they name commands to run or
/// sources to trust, so a file that another user could have written is refused.
#[derive(Debug, Error)]
pub enum LoadError {
    /// It can't be opened or read.
    #[error("{path} can't be read: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It is a directory, a device or a pipe.
    #[error("{0} is not a regular file")]
    NotAFile(PathBuf),
    /// It is world-writable.
    #[error("{0} is world-writable, so it is not trusted: chmod o-w {0}")]
    WorldWritable(PathBuf),
    /// Its owner is neither root nor the user of this process.
    #[error("{path} belongs to user {uid}, so it is not trusted: chown root {path}")]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// It is too large to be a configuration.
    #[error("{path} is too large (limit: {mebibytes} MiB)")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        mebibytes: u64,
    },
    /// Any user may replace the file.
    #[error(
        "{path} is below {directory}, which is world-writable, so it is not trusted: chmod o-w {directory}"
    )]
    WorldWritableDirectory {
        /// The file.
        path: PathBuf,
        /// The directory.
        directory: PathBuf,
    },
    /// A user other than root and that of this process may replace the file.
    #[error(
        "{path} is below {directory}, which belongs to user {uid}, so it is not trusted: chown root \
            {directory}"
    )]
    DirectoryOwner {
        /// The file.
        path: PathBuf,
        /// The directory.
        directory: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// It is not UTF-8.
    #[error("{path}:{line}: not UTF-8 text; if it is Latin-1, convert it: iconv -f latin1 -t utf-8 {path}")]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The first invalid line, counted from 1.
        line: usize,
    },
    /// Its content is invalid.
    #[error(transparent)]
    Invalid(#[from] Report),
}
