//! Frames for the rules, in the kernel and in userspace, with their expected outcomes; and the lab in which the
//! daemon meets real scanners.
//!
//! No code here repeats a rule: the [`table`] holds the expected outcomes, and both judges are compared with it.

#![allow(clippy::missing_panics_doc, reason = "a failed preparation must fail the test")]

pub mod document;
pub mod encapsulation;
pub mod expect;
pub mod frames;
pub mod generate;
pub mod imports;
pub mod judges;
pub mod kernel;
pub mod lab;
pub mod mmdb;
pub mod model;
pub mod month;
pub mod namespace;
pub mod oracle;
pub mod outcome;
pub mod received;
pub mod scenario;
pub mod sent;
pub mod sockets;
pub mod table;
pub mod test_host;
pub mod traffic;
