//! The keeper's state for visits to the daemon's traps.

use std::time::Duration;

use crate::{config::Config, policy::trap::Visits};

/// The keeper's state for visits to the daemon's traps.
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
