//! Figures that are measured once, without a distribution.

use serde::{Deserialize, Serialize};

/// Results of one of the two daemons.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub(crate) struct Classic {
    pub(crate) name: String,
    /// SYNs from random addresses to a watched port, in five seconds.
    pub(crate) flood_sent: u64,
    /// CPU time of the daemon and its commands, in cores.
    pub(crate) flood_cpu: f64,
    /// Resident after the flood.
    pub(crate) memory_mib: u64,
    /// Number of the six services that a scan of ports 1 to 1023 found open: median, minimum and maximum.
    pub(crate) leaked: [f64; 3],
}

/// A duration.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub(crate) struct Span {
    pub(crate) name: String,
    /// Median of the rounds, in seconds.
    pub(crate) seconds: f64,
    /// Maximum of the rounds, in seconds.
    pub(crate) most: f64,
}

/// The daemon's CPU time.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub(crate) struct Load {
    pub(crate) name: String,
    /// Connections per second that were completed: median of the rounds.
    pub(crate) rate: f64,
    /// CPU time (user and kernel) per wall time: median, minimum and maximum of the rounds.
    pub(crate) cores: [f64; 3],
}
