//! The keeper's counts, for metrics and health checks.

use std::sync::Arc;

use portsentry_common::counter::Counters;

use super::{attachments::Attachments, fleet::Fleet, scans::Scans, scope::Scope};
use crate::{
    config::Config,
    kernel::{Kernel, ScanState},
    metrics::{ListStats, Snapshot, Stats},
    modes::Modes,
    policy::{Census, Enforcement},
};

/// The keeper's counts.
#[derive(Debug)]
pub(super) struct Totals {
    pub stats: Arc<Stats>,
    /// The kernel's counters as last read.
    pub counted: Counters,
    /// Number of probes that the kernel did not report, and whose sources have yet to be found.
    pub untold: u64,
    /// Number of sources without room in the blocked maps, besides those that the kernel counts.
    pub no_room: u64,
    /// Number of sightings that were dropped because the keeper was behind.
    pub lost: u64,
    /// The block lists, as last counted.
    pub lists: Vec<ListStats>,
    max_blocked: u32,
    max_fenced: u32,
    ring: u32,
    enforcement: Enforcement,
    pub scans: Scans,
}

impl Totals {
    /// Creates the counts, from those of the kernel. `scan_key` is the secret of the memory of scans.
    pub(super) fn new(
        config: &Config,
        modes: Modes,
        stats: Arc<Stats>,
        (counted, scan_key): (&Counters, u64),
    ) -> Self {
        let Config { max_blocked, max_fenced, ring_size: ring, .. } = *config;
        let (counted, enforcement) = (*counted, Enforcement::new(config, modes));
        Self {
            stats,
            counted,
            untold: 0,
            no_room: 0,
            lost: 0,
            lists: Vec::new(),
            max_blocked,
            max_fenced,
            ring,
            enforcement,
            scans: Scans::new(scan_key, &config.blocked_file),
        }
    }

    /// Returns the mode of enforcement.
    pub(super) const fn enforcement(&self) -> Enforcement {
        self.enforcement
    }

    /// Returns `MAX_FENCED` for both address families together.
    pub(super) const fn max_fenced(&self) -> usize {
        self.max_fenced as usize * 2
    }

    /// Counts sightings that the reader dropped.
    pub(super) fn lose(&mut self, count: u64) {
        self.lost += count;
        self.stats.count_left_out(count);
    }

    /// Updates the stats.
    pub(super) fn show(
        &mut self,
        kernel: &Kernel,
        census: Census,
        attachments: &Attachments,
        scope: &Scope,
        lost: Vec<(&'static str, u64)>,
        fleet: &Fleet,
    ) {
        let mut counters = self.counted;
        counters.blocked_full += self.no_room;
        let bound = kernel.bound_state().unwrap_or_default();
        self.stats.show(Snapshot {
            counters,
            census,
            max_blocked: self.max_blocked,
            max_fenced: self.max_fenced,
            ring_size: self.ring,
            attached: attachments.watched(),
            refused: attachments.lacking().into_iter().map(|lacking| lacking.interface).collect(),
            unseen: attachments.unseen().into_iter().map(|unseen| unseen.interface).collect(),
            bound_by_hooks: bound.by_hooks,
            dump_age: bound.dump_age,
            scope_trouble: scope.trouble().cloned(),
            scans: ScanState::of(kernel, |memory| self.scans.count(memory)).ok(),
            lost,
            strength: Some(self.enforcement.strength()),
            fleet: fleet.stats(),
            lists: self.lists.clone(),
        });
    }
}
