//! The PortSentry daemon, as a library for its binary and the tests.
//!
//! A probe passes through it in one direction: `kernel` (ring) -> `policy` -> `sink`; `daemon` joins them.

pub mod cli;
pub mod command;
pub mod config;
pub mod control;
pub mod daemon;
pub mod exit;
pub mod host;
pub mod http;
pub mod inspect;
pub mod instant;
pub mod kernel;
pub mod metrics;
pub mod modes;
pub mod netlink;
mod notation;
pub mod policy;
mod pppoe;
pub mod report;
pub mod sandbox;
pub mod sanitize;
pub mod sink;
pub mod systemd;
