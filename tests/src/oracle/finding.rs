//! The outcome of one frame, under construction.

use portsentry::policy::Sighting;
use portsentry_common::judge::Action;

/// The outcome of one frame, under construction.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) action: Action,
    pub(super) told: Vec<Sighting>,
    pub(super) counted: Vec<&'static str>,
}

impl Finding {
    pub(super) fn of(action: Action, counted: &[&'static str]) -> Self {
        Self { action, told: Vec::new(), counted: counted.to_vec() }
    }

    pub(super) fn passes() -> Self {
        Self::of(Action::Pass, &[])
    }
}
