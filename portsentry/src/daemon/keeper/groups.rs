//! Reports distributed scans, recognised by the first failures of their sources, and raises the scores of their members.

use portsentry_common::scan::group::WINDOW;

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
        let Self { totals, scope, kernel, journal, .. } = self;
        let has_answered = |port| kernel.learned.as_ref().is_some_and(|ports| ports.has_answered(port));
        let joined = totals.scans.groups.note(sighting, now(), || scope.watched(), has_answered);
        if let Some(scans) = &kernel.scans {
            let raised = joined.raised.iter().try_for_each(|(member, pairs)| {
                // The memory counts an IPv6 source by its network of `IPV6_PREFIX`, or a neighbour by its address.
                let counted = scope.network_of(member.addr());
                // Of a member's network, it isn't known which address or smaller network is the scanner.
                if counted.prefix_len() > member.prefix_len() {
                    return Ok(());
                }
                scans.raise(counted, *pairs)
            });
            if let Err(error) = raised {
                journal.error(&error);
            }
        }
        for scan in &joined.found {
            journal.distributed_scan(scan);
            totals.stats.count_scan(ScanKind::Distributed, false);
        }
    }

    /// Takes over the groups of an earlier run.
    pub(super) fn take_over_groups(&mut self) {
        if self.kernel.scans.is_none() {
            return;
        }
        let now = now();
        match self.totals.scans.file.read(now) {
            Ok(groups) => self.totals.scans.groups.restore(&groups, now),
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

/// Returns the time of `CLOCK_MONOTONIC` in seconds, and a [`WINDOW`]: contacts before the machine's start have times, too.
fn now() -> u32 {
    let seconds = kernel::monotonic_ns().unsigned_abs() / 1_000_000_000;
    u32::try_from(seconds).unwrap_or(u32::MAX).saturating_add(WINDOW)
}
