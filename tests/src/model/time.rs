//! The model's clock.

use std::time::Duration;

use portsentry_common::scan::state::State;

use super::{Model, table};

impl Model {
    /// Lets time pass. Questions and what answers have shown are forgotten, as by a program that takes over the maps.
    pub fn pass_time(&mut self, by: Duration) {
        self.now_ns += u64::try_from(by.as_nanos()).expect("less than centuries");
        self.horizon = table::horizon(&self.scenario.table, self.now_ns);
        self.learned.forget_questions();
    }

    /// Returns the state of the memory of scans.
    #[must_use]
    pub fn scan_state(&self) -> State {
        self.learned.scans.state.get()
    }
}
