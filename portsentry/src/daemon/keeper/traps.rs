//! What the keeper needs for visits to the daemon's own traps.

use std::time::Duration;

use crate::{config::Config, policy::trap::Visits};

/// What the keeper needs for visits to the daemon's own traps.
#[derive(Debug)]
pub(super) struct Traps {
    pub visits: Visits,
    /// `TRIGGER_WINDOW`
    pub window: Duration,
}

impl Traps {
    pub(super) fn new(config: &Config, settings: portsentry_common::settings::Settings) -> Self {
        Self { visits: Visits::new(settings), window: config.trigger_window }
    }
}
