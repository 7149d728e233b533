//! The content of the file.

use std::path::PathBuf;

use super::target::Target;
use crate::{fetch::ListSource, pace::Pace, route::Route};

/// The configuration.
#[derive(Debug)]
pub struct Config {
    /// `CONTROL_SOCKET`
    pub socket: PathBuf,
    /// `SPOOL_DIRECTORY`
    pub spool: PathBuf,
    /// `SPOOL_SIZE`, in bytes.
    pub size: usize,
    /// `HOST_NAME`
    pub host: String,
    /// `REDACT`: words that no report may contain, besides own names and addresses.
    pub redact: Vec<String>,
    /// The block lists to download.
    pub lists: Vec<ListSource>,
    /// The channels, in the order of the file.
    pub channels: Vec<Settings>,
}

/// The settings of a channel.
#[derive(Debug)]
pub struct Settings {
    /// Name of its section.
    pub name: String,
    /// The events that it takes.
    pub route: Route,
    /// When it sends.
    pub pace: Pace,
    /// Where it sends to.
    pub target: Target,
}
