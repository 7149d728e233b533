//! Keeps the ledger and the files in step with a wall clock that is set, or that went on while the machine slept: the
//! kernel's clock, by which blocks last, does neither.

use std::time::{Duration, SystemTime};

use super::Keeper;
use crate::kernel;

/// What is less is how finely the two clocks can be compared, or is written.
const STEP: Duration = Duration::from_secs(2);

/// When the kernel's clock began, by the wall clock as it is set now.
pub(super) fn origin() -> SystemTime {
    kernel::wall_time(0)
}

impl Keeper {
    /// Follows the wall clock if it was set.
    pub(super) fn follow_clock(&mut self) {
        let (from, to) = (self.clock_origin, origin());
        let (way, by) = match to.duration_since(from) {
            Ok(ahead) => ("forward", ahead),
            Err(behind) => ("back", behind.duration()),
        };
        if by < STEP {
            return;
        }
        self.clock_origin = to;
        self.ledger.shift(from, to);
        self.files.rewrite();
        self.journal.note(&format!(
            "The clock was set {way} by {} s; the duration of blocks is unaffected",
            by.as_secs()
        ));
    }
}
