//! What follows where the blocked file, as an administrator edits it, and the kernel's maps differ from the ledger. It must not
//! read either.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::{Hold, Ledger, Record};

/// A block in the kernel's map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceState {
    /// Whom it holds.
    pub network: IpNet,
    /// What the files are to say of it.
    pub hold: Hold,
    /// The files have said it before.
    pub mirrored: bool,
}

impl SourceState {
    /// As the files are to say it.
    #[must_use]
    pub const fn record(&self) -> Record {
        Record { network: self.network, hold: self.hold }
    }
}

/// What it takes to make kernel and files agree when a daemon starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakeOver {
    /// To be blocked in the kernel: the file names them, the map doesn't.
    pub block: Vec<Record>,
    /// To be unblocked, and taken out of the files: their line was taken out of one, or they are never blocked.
    pub lift: Vec<Record>,
    /// To be recorded: the kernel blocked them while no daemon was there.
    pub record: Vec<Record>,
}

/// What follows from an edited blocked file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// To be blocked: their line is new.
    pub block: Vec<Record>,
    /// To be unblocked: their line is gone.
    pub lift: Vec<IpNet>,
    /// Their line is new, but they are never blocked.
    pub exempt: Vec<IpNet>,
}

impl Ledger {
    /// What follows from the `lines` of a blocked file that an administrator has edited. Networks that the file has
    /// not shown yet can't have been taken out of it.
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

    /// Whether a line says more than that a network is held as it is.
    fn is_news(&self, line: &Record) -> bool {
        self.get(line.network)
            .is_none_or(|hold| (hold.is_fence && !line.hold.is_fence) || line.hold.has_other_terms_than(hold))
    }

    /// Brings together the blocked file's lines and the kernel's map, by network, at start, and what follows from it. A `file`
    /// of `None` is one that wasn't there, which lifts nothing. A block that the file has shown before and shows
    /// no longer was lifted there; one that it never showed was made while no daemon was there.
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
