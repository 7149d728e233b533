//! Keeps the ledger and the files in step with the wall clock, which may be set, and which advances while the
//! machine sleeps. Blocks are timed by the kernel's clock, for which neither is true.

use std::time::Duration;

use super::{Keeper, schedule::clock_origin};

/// Smaller differences come from comparing the clocks, or from rounding in files.
const STEP: Duration = Duration::from_secs(2);

impl Keeper {
    /// Adjusts the ledger if the wall clock was set.
    pub(super) fn follow_clock(&mut self) {
        let (from, to) = (self.schedule.clock_origin, clock_origin());
        let (way, by) = match to.duration_since(from) {
            Ok(ahead) => ("forward", ahead),
            Err(behind) => ("back", behind.duration()),
        };
        if by < STEP {
            return;
        }
        self.schedule.clock_origin = to;
        self.register.ledger_mut().shift(from, to);
        self.files.rewrite();
        self.journal.note(&format!(
            "The clock was set {way} by {} s; the duration of blocks is unaffected",
            by.as_secs()
        ));
    }
}
