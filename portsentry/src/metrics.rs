//! What Prometheus and health checks are told, over HTTP.
//!
//! It must not look into the kernel or hold anything up: it shows what the keeper has put on the board.

mod exposition;
mod http;
mod process;
mod server;
mod stats;

pub use server::Server;
pub use stats::{Snapshot, Stats};
