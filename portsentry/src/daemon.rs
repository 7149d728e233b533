//! The running daemon.

pub mod host;
pub mod territory;
