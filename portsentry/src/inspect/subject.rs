//! The configuration that determines what is read.

use ipnet::IpNet;

use crate::{config::Config, modes::Modes};

/// The configuration: of the command line, or of the running daemon.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The configuration.
    pub config: Config,
    /// The watched ports.
    pub modes: Modes,
    /// The ignore file's networks.
    pub ignored: Vec<IpNet>,
}
