//! Reasons why state can't be read.

use std::{io, path::PathBuf};

use crate::{kernel, sink::WriteError};

/// Reason why state can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pinned maps can't be read.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// A file can't be read.
    #[error("{path} can't be read: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// One of the daemon's own files can't be read.
    #[error(transparent)]
    Own(#[from] WriteError),
    /// This user may not read it, and the daemon doesn't answer, for the reason `problem`.
    #[error("{denied}; {problem}")]
    Refused {
        /// The error of reading it.
        denied: Box<Error>,
        /// The reason why the daemon doesn't answer.
        problem: String,
    },
    /// Something else.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// Whether the process lacks the right to read it.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        match self {
            Self::Kernel(error) => error.is_denied(),
            Self::File { source, .. } | Self::Own(WriteError::Io { source, .. }) => {
                source.kind() == io::ErrorKind::PermissionDenied
            }
            Self::Refused { .. } | Self::Own(_) | Self::Other(_) => false,
        }
    }

    /// Adds the reason why the daemon doesn't answer instead.
    #[must_use]
    pub fn and(self, problem: String) -> Self {
        Self::Refused { denied: Box::new(self), problem }
    }

    /// Whether the pinned maps could not be read.
    #[must_use]
    pub fn is_of_kernel(&self) -> bool {
        match self {
            Self::Kernel(_) => true,
            Self::Refused { denied, .. } => denied.is_of_kernel(),
            Self::File { .. } | Self::Own(_) | Self::Other(_) => false,
        }
    }
}
