//! What the keeper puts on the board, for metrics and health checks.

use super::Keeper;
use crate::{config::Config, metrics::Snapshot};

/// What the configuration allows at the most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    blocked: u32,
    fenced: u32,
    ring: u32,
}

impl Limits {
    pub(super) const fn new(config: &Config) -> Self {
        Self { blocked: config.max_blocked, fenced: config.max_fenced, ring: config.ring_size }
    }
}

impl Keeper {
    /// Shows what there is to see now, and tells the log what there is to tell of showing it.
    pub fn show(&mut self) {
        for news in self.stats.news() {
            self.journal.news(&news);
        }
        let mut counters = self.counted;
        counters.blocked_full += self.no_room;
        let bound = self.kernel.bound_state().unwrap_or_default();
        self.stats.show(Snapshot {
            counters,
            census: self.ledger.census(),
            max_blocked: self.limits.blocked,
            max_fenced: self.limits.fenced,
            ring_size: self.limits.ring,
            attached: self.attachments.watched(),
            refused: self.attachments.lacking().into_iter().map(|lacking| lacking.interface).collect(),
            bound_by_hooks: bound.by_hooks,
            dump_age: bound.dump_age,
            scope_trouble: self.scope.trouble().cloned(),
            lost: self.journal.lost(),
        });
    }
}
