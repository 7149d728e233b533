//! The errors of a daemon.

use std::io;

use crate::{kernel, sandbox};

/// Reasons why a daemon did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An error at the kernel boundary.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// The host's interfaces and addresses could not be read.
    #[error("this host's interfaces and addresses can't be read: {0}")]
    Host(io::Error),
    /// Privileges could not be given up.
    #[error("the sandbox can't be entered (SANDBOX=\"0\" runs without it): {0}")]
    Sandbox(#[from] sandbox::Error),
    /// Another error of the system.
    #[error("{what}: {source}")]
    System {
        /// The operation that failed.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
}
