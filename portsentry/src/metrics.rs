//! Metrics for Prometheus and health checks, over HTTP.

mod exposition;
mod families;
mod format;
mod process;
mod prometheus_text;
mod scans;
mod server;
mod stats;

pub use server::Server;
pub use stats::{FleetStats, ListStats, PeerStats, ShareStats, Snapshot, Stats};
