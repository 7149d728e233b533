//! What the daemon writes: log lines, events, history, blocked file and `hosts.deny`.

pub mod annotation;
mod append;
mod atomic_write;
mod block_list;
pub mod blocked_file;
pub mod classic;
mod decided;
mod deny;
mod edit;
mod emit;
pub mod event;
pub mod evidence;
mod files;
mod flushed;
mod history;
mod history_line;
mod history_write;
pub mod hosts_deny;
mod journald;
mod json_log;
mod log;
mod output;
pub mod resolver;
mod retry;
pub mod revival;
pub mod runner;
mod syslog;
pub mod watch;

use std::{fmt, net::IpAddr};

pub use atomic_write::{WriteError, read};
pub use block_list::edit_list;
pub use decided::{Decided, Decision};
pub use edit::{Change, Edited, edit, rewrite};
pub use emit::{Report, Sink};
pub use files::Files;
pub use flushed::{Denied, Flushed};
pub use history_line::HistoryLine;
pub use log::Log;

/// Every place that log lines and events can go to, in the order in which they get them.
const SINKS: &[emit::Open] = &[output::open, json_log::open];

/// A source as lines name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// Its address.
    pub address: IpAddr,
    /// Its name in the DNS, where `RESOLVE_HOST` found one.
    pub name: Option<&'a str>,
}

impl From<IpAddr> for Named<'_> {
    fn from(address: IpAddr) -> Self {
        Self { address, name: None }
    }
}

impl Named<'_> {
    /// The name, or the address where there is none.
    fn name(&self) -> String {
        self.name.map_or_else(|| self.address.to_string(), str::to_owned)
    }
}

/// `name/address` as in 1.2, with the address twice where there is no name.
impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name(), self.address)
    }
}
