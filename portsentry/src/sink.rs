//! The daemon's output: log lines, events, history, blocked file and `hosts.deny`.

pub mod annotation;
mod append;
mod atomic_write;
mod beside;
mod block_list;
pub mod blocked_file;
pub mod classic;
mod decided;
mod deny;
mod edit;
mod emit;
pub mod event;
pub mod evidence;
pub mod feed;
mod files;
mod flushed;
mod group_file;
mod history;
mod history_line;
mod history_write;
pub mod hosts_deny;
pub mod id_file;
mod journald;
mod json_log;
mod log;
mod named;
pub mod origins;
mod output;
mod patience;
pub mod peer_file;
mod recorder;
pub mod resolver;
mod retry;
pub mod revival;
pub mod rotated;
pub mod runner;
mod syslog;
pub mod watch;

pub use atomic_write::{MODE, WriteError, read, update};
pub use block_list::edit_list;
pub use decided::{Decided, Decision};
pub use edit::{Change, Edited, edit, rewrite};
pub use emit::{Report, Sink};
pub use files::Files;
pub use flushed::{Denied, Flushed};
pub use group_file::GroupFile;
pub use history_line::HistoryLine;
pub use log::Log;
pub use named::Named;
pub use peer_file::PeerFile;

/// All outputs for log lines and events, in the order in which they receive them.
const SINKS: &[emit::Open] = &[output::open, json_log::open];
