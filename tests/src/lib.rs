//! Frames through the rules, in the kernel and in userspace: inputs and outcomes; and the lab in which the daemon
//! meets real scanners.
//!
//! Nothing here repeats a rule: the expected outcomes are in the [`table`], and both judges are compared with it.

#![allow(clippy::missing_panics_doc, reason = "what can't be prepared for a test fails it")]

pub mod document;
pub mod encapsulation;
pub mod expect;
pub mod frames;
pub mod generate;
pub mod imports;
pub mod kernel;
pub mod lab;
pub mod model;
pub mod namespace;
pub mod oracle;
pub mod outcome;
pub mod received;
pub mod scenario;
pub mod sockets;
pub mod table;
pub mod test_host;
