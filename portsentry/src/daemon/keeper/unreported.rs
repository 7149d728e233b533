//! Blocks and fences that the kernel program could not report, and expired ones.

use std::{collections::BTreeSet, net::IpAddr, time::SystemTime};

use ipnet::IpNet;
use portsentry_common::block::Proof;

use super::{Keeper, entries::standings};
use crate::{
    kernel,
    policy::{
        SourceState, network_of,
        register::{Admission, NEVER_BLOCKED, OVER, Release, Why},
    },
};

/// Number of fences that are recorded at a time.
const FENCES: usize = 500;
/// Number of expired blocks that are released at a time. Each has a line in the history, whose queue has room for four
/// times as many.
pub(super) const BLOCKS: usize = 16_384;

impl Keeper {
    /// Records entries that the kernel did not report: all blocks, and a limited number of fences, which a flood
    /// makes by the thousand. Returns whether these were all.
    pub(super) fn record_unreported(&mut self) -> Result<bool, kernel::Error> {
        let mut found = 0;
        let (blocked, fenced) = (self.kernel.blocked.read()?, self.kernel.fenced.read()?);
        for standing in standings(&blocked, &fenced) {
            let SourceState { network, hold, mirrored } = standing;
            if mirrored || (hold.is_fence && found == FENCES) {
                continue;
            }
            if self.scope.exempt().cover(network) {
                self.release(Release::Exempt, network, NEVER_BLOCKED);
                continue;
            }
            if !hold.is_fence && hold.proof == Proof::Cookie && self.spares(network) {
                continue;
            }
            let is_known =
                self.register.ledger().get(network).is_some_and(|held| !held.is_fence || hold.is_fence);
            found += usize::from(hold.is_fence && !is_known);
            self.admit(Admission::Untold, standing.record(), None, Why::Usual)?;
        }
        Ok(found < FENCES)
    }

    /// Releases expired entries, unless the kernel has renewed them: all fences, and a limited number of blocks. The
    /// kernel ignores an expired entry in any case.
    pub(super) fn lift_over(&mut self) {
        let ledger = self.register.ledger();
        let over = ledger.over(SystemTime::now());
        let (mut over, mut blocks): (Vec<IpNet>, Vec<IpNet>) =
            over.partition(|network| ledger.get(*network).is_some_and(|hold| hold.is_fence));
        blocks.truncate(BLOCKS);
        over.append(&mut blocks);
        for network in over {
            match self.standing(network) {
                Ok(Some(SourceState { hold, .. })) => self.register.ledger_mut().replace(network, hold),
                Ok(None) => drop(self.release(Release::Over, network, OVER)),
                Err(error) => self.journal.error(&error),
            }
        }
    }

    /// Forgets fences that the kernel's map has evicted, because a flood of spoofed sources must not fill the
    /// memory and the files.
    pub(super) fn forget_surplus(&mut self) -> Result<(), kernel::Error> {
        if self.register.ledger().surplus(self.totals.max_fenced()).next().is_none() {
            return Ok(());
        }
        // The kernel's map evicts the least recently used fence, which need not be the first to expire.
        let standing: BTreeSet<IpNet> = self
            .kernel
            .fenced
            .read()?
            .into_iter()
            .map(|(source, block)| network_of(source, block.prefix))
            .collect();
        let surplus = self.register.ledger().surplus(0).filter(|network| !standing.contains(network));
        let surplus: Vec<IpNet> = surplus.collect();
        if surplus.is_empty() {
            return Ok(());
        }
        self.journal.surplus(surplus.len());
        for network in surplus {
            self.release(Release::Crowded, network, "MAX_FENCED reached");
        }
        Ok(())
    }

    /// Whether `source` is never blocked.
    pub(super) fn is_exempt(&self, source: IpAddr) -> bool {
        self.scope.exempt().contains(source)
    }
}
