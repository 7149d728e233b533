//! The options of a daemon, from the command line and the files.

use ipnet::IpNet;

use crate::{
    config::{BlockList, Config, Settings},
    modes::Modes,
};

/// The options of a daemon.
#[derive(Debug)]
pub struct Options {
    /// The configuration, overridden by the command line.
    pub config: Config,
    /// The watched ports.
    pub modes: Modes,
    /// The ignore file's networks.
    pub ignored: Vec<IpNet>,
    /// The block list.
    pub listed: BlockList,
    /// Whether to log the kernel program's debug messages.
    pub debug: bool,
    /// Warnings about the files, one line each; logged if standard error is not visible.
    pub warnings: Vec<String>,
    /// The files that the settings come from.
    pub settings: Settings,
}

/// Reads the options again. On failure it returns the problems, one line each for the log.
pub type Reread<'a> = dyn Fn() -> Result<Options, Vec<String>> + 'a;
