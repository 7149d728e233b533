//! Reports distributed scans, recognised by the first failures of their sources.

use super::Keeper;
use crate::{
    kernel,
    policy::{ScanKind, Sighting},
};

impl Keeper {
    /// Notes the contact of a source, if it is one of its first failures, and reports the group that it completes.
    pub(super) fn note_in_group(&mut self, sighting: &Sighting) {
        if self.is_exempt(sighting.source) {
            return;
        }
        let second = kernel::monotonic_ns().unsigned_abs() / 1_000_000_000;
        let now = u32::try_from(second).unwrap_or(u32::MAX);
        let Self { totals, scope, journal, .. } = self;
        let Some(scan) = totals.scans.groups.note(sighting, now, || scope.watched()) else { return };
        journal.distributed_scan(&scan);
        totals.stats.count_scan(ScanKind::Distributed, false);
    }
}
