//! The errors of the resolver.

use std::io;

/// Reasons why the resolver can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The thread or its runtime could not be started.
    #[error("starting the resolver: {0}")]
    Start(#[from] io::Error),
    /// `/etc/resolv.conf` is missing or wrong, or names no server.
    #[error("/etc/resolv.conf: {0}")]
    Configuration(String),
}
