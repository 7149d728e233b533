//! Metrics for Prometheus and health checks, over HTTP.

mod exposition;
mod format;
mod http;
mod process;
mod scans;
mod prometheus_text;
mod server;
mod stats;

pub use server::Server;
pub use stats::{Snapshot, Stats};
