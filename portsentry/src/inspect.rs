//! Reads what the commands show, from the pins, the files and the host: in a command's own process, or in the daemon
//! for clients of the control socket.

pub mod bound_ports;
pub mod error;
pub mod exempt;
pub mod explanation;
pub mod fence;
pub mod fleet;
pub mod gaps;
pub mod held;
pub mod lists;
pub mod past;
pub mod report;
pub mod sample;
pub mod scans;
pub mod select;
pub mod stream;
pub mod subject;
pub mod would;
