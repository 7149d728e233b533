//! The keeper's state for visits to the daemon's traps.

use std::time::Duration;

use crate::{
    config::{Config, Response},
    policy::trap::Visits,
};

/// The keeper's state for visits to the daemon's traps.
#[derive(Debug)]
pub(super) struct Traps {
    pub visits: Visits,
    /// `TRIGGER_WINDOW`
    pub window: Duration,
    /// Whether connections are only logged: `BLOCK_TCP` is 0.
    pub only_logs: bool,
}

impl Traps {
    pub(super) fn new(config: &Config, settings: portsentry_common::settings::Settings) -> Self {
        let only_logs = config.block_tcp == Response::LogOnly;
        Self { visits: Visits::new(settings), window: config.trigger_window, only_logs }
    }
}
