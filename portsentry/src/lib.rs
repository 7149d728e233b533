//! The PortSentry daemon, as a library that its binary and the tests share.

pub mod config;
