//! Counts the sources in the memory of scans from time to time.

use std::time::{Duration, Instant};

use crate::kernel::{ScanCount, ScanMemory};

/// Interval between counts, which take milliseconds.
const EACH: Duration = Duration::from_mins(1);

/// The last count.
#[derive(Debug, Default)]
pub(super) struct Scans {
    last: Option<(Instant, ScanCount)>,
}

impl Scans {
    /// Counts the sources in `memory` if the last count is too old, and returns the count.
    pub(super) fn count(&mut self, memory: &ScanMemory) -> ScanCount {
        let now = Instant::now();
        let last = self.last.filter(|(counted, _)| now.saturating_duration_since(*counted) < EACH);
        let (counted, count) = last.unwrap_or_else(|| (now, memory.count()));
        self.last = Some((counted, count));
        count
    }
}
