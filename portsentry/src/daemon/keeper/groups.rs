//! Reports distributed scans, recognised by the first failures of their sources, and raises the scores of their members.

use std::time::SystemTime;

use super::Keeper;
use crate::policy::{ScanKind, Sighting};

impl Keeper {
    /// Notes the contact of a source, if it is one of its first failures, and reports the group that it completes.
    pub(super) fn note_in_group(&mut self, sighting: &Sighting) {
        if self.is_exempt(sighting.source) {
            return;
        }
        let Self { totals, scope, kernel, journal, .. } = self;
        let joined = totals.scans.groups.note(sighting, now(), || scope.watched());
        if let Some(scans) = &kernel.scans {
            let mut members = joined.raised.iter();
            let raised = members.try_for_each(|(member, pairs)| {
                // The memory counts an IPv6 source by its network of `IPV6_PREFIX`.
                scans.raise(scope.network_of(member.addr()), *pairs)
            });
            if let Err(error) = raised {
                journal.error(&error);
            }
        }
        if let Some(scan) = joined.found {
            journal.distributed_scan(&scan);
            totals.stats.count_scan(ScanKind::Distributed, false);
        }
    }

    /// Takes over the groups of an earlier run.
    pub(super) fn take_over_groups(&mut self) {
        if self.kernel.scans.is_none() {
            return;
        }
        match self.totals.scans.file.read() {
            Ok(groups) => self.totals.scans.groups.restore(&groups),
            Err(error) => self.journal.error(&error),
        }
    }

    /// Writes the groups, if it is time, or if this `is_last` time.
    pub(super) fn keep_groups(&mut self, is_last: bool) {
        let scans = &mut self.totals.scans;
        if let Some(news) = scans.file.flush(&scans.groups, now(), is_last) {
            self.journal.news(&news);
        }
    }
}

/// Returns the time in seconds since 1970: unlike `CLOCK_MONOTONIC` it goes on over a reboot.
fn now() -> u32 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}
