//! The errors of the sandbox.

use std::io;

use landlock::{PathFdError, RulesetError};

/// Reasons why privileges were not dropped. The daemon refuses to run with more privileges than configured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system reported an error.
    #[error("{what}: {source}")]
    System {
        /// The operation.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The user in `RUN_AS` does not exist.
    #[error("RUN_AS: no user {0}: `adduser --system --no-create-home {0}` creates it")]
    NoUser(String),
    /// Landlock's rules could not be created.
    #[error("landlock: {0}")]
    Rules(#[from] RulesetError),
    /// A rule's directory could not be opened.
    #[error("landlock: {0}")]
    Place(#[from] PathFdError),
}
