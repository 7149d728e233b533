//! Counts the sources in the memory of scans from time to time, and groups them.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    kernel::{ScanCount, ScanMemory},
    policy::Groups,
    sink::GroupFile,
};

/// Interval between counts, which take milliseconds.
const EACH: Duration = Duration::from_mins(1);

/// The last count, and the distributed scans.
#[derive(Debug)]
pub(super) struct Scans {
    pub groups: Groups,
    pub file: GroupFile,
    last: Option<(Instant, ScanCount)>,
}

impl Scans {
    /// Creates the groups with a secret `key`, and their file beside the `blocked` file.
    pub(super) fn new(key: u64, blocked: &Path) -> Self {
        Self { groups: Groups::new(key), file: GroupFile::new(blocked), last: None }
    }

    /// Counts the sources in `memory` if the last count is too old, and returns the count.
    pub(super) fn count(&mut self, memory: &ScanMemory) -> ScanCount {
        let now = Instant::now();
        let last = self.last.filter(|(counted, _)| now.saturating_duration_since(*counted) < EACH);
        let (counted, count) = last.unwrap_or_else(|| (now, memory.count()));
        self.last = Some((counted, count));
        count
    }
}
