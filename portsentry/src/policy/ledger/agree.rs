//! Compares the blocked file, as edited by an administrator, and the kernel's maps with the ledger.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::{Hold, Ledger, Record};

/// A block in the kernel's map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceState {
    /// The held network.
    pub network: IpNet,
    /// Its entry for the files.
    pub hold: Hold,
    /// Whether the files have shown it before.
    pub mirrored: bool,
}

impl SourceState {
    /// Returns the record for the files.
    #[must_use]
    pub const fn record(&self) -> Record {
        Record { network: self.network, hold: self.hold }
    }
}

/// Changes that make kernel and files agree when a daemon starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakeOver {
    /// Networks to be blocked in the kernel, because they are in the file but not in the map.
    pub block: Vec<Record>,
    /// Networks to be unblocked and removed from the files, because their line was removed or they are never
    /// blocked.
    pub lift: Vec<Record>,
    /// Networks to be recorded, because the kernel blocked them while no daemon ran.
    pub record: Vec<Record>,
}

/// Changes after an edit of the blocked file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// Networks to be blocked, because their line is new.
    pub block: Vec<Record>,
    /// Networks to be unblocked, because their line was removed.
    pub lift: Vec<IpNet>,
    /// Networks whose line is new, but which are never blocked.
    pub exempt: Vec<IpNet>,
}

impl Ledger {
    /// Returns the changes after an administrator's edit of the blocked file's `lines`. A network that the file has
    /// not shown yet can't have been removed from it.
    #[must_use]
    pub fn edit(
        &self,
        lines: &[Record],
        is_exempt: impl Fn(&Record) -> bool,
        is_unshown: impl Fn(IpNet) -> bool,
    ) -> Edit {
        let named: BTreeSet<IpNet> = lines.iter().map(|line| line.network).collect();
        let (exempt, block): (Vec<Record>, Vec<Record>) =
            lines.iter().filter(|line| self.is_news(line)).partition(|line| is_exempt(line));
        let gone = |network: &IpNet| !named.contains(network) && !is_unshown(*network);
        Edit {
            block,
            lift: self.held.keys().copied().filter(gone).collect(),
            exempt: exempt.into_iter().map(|line| line.network).collect(),
        }
    }

    /// Whether a line changes the block or fence of its network.
    fn is_news(&self, line: &Record) -> bool {
        self.get(line.network)
            .is_none_or(|hold| (hold.is_fence && !line.hold.is_fence) || line.hold.has_other_terms_than(hold))
    }

    /// Compares the blocked file's lines with the kernel's map, by network, at start. A missing file (`None`) lifts
    /// no block. A block that the file once showed, but no longer shows, was lifted there. A block that it never
    /// showed was made while no daemon ran.
    pub fn take_over(
        &mut self,
        file: Option<&[Record]>,
        map: &BTreeMap<IpNet, SourceState>,
        is_exempt: impl Fn(&Record) -> bool,
    ) -> TakeOver {
        let mut then = TakeOver::default();
        for record in file.unwrap_or_default() {
            let Record { network, hold } = *record;
            let stands = map.get(&network).is_some_and(|standing| !hold.has_other_terms_than(&standing.hold));
            if is_exempt(record) && !stands {
                then.lift.push(*record);
            } else if !is_exempt(record) && self.enter(network, hold) && !stands {
                then.block.push(*record);
            }
        }
        for standing in map.values() {
            let (record, mirrored) = (standing.record(), standing.mirrored);
            if is_exempt(&record) || (mirrored && file.is_some() && !self.holds(record.network)) {
                then.lift.push(record);
            } else if self.enter(record.network, record.hold) && !mirrored {
                then.record.push(record);
            }
        }
        then
    }
}
