//! Metrics for Prometheus and health checks, over HTTP.

mod exposition;
mod http;
mod process;
mod server;
mod stats;

pub use server::Server;
pub use stats::{Snapshot, Stats};
