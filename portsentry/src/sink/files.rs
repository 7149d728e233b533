//! The files that mirror the kernel's map: history, `hosts.deny` and blocked file, written in that order.
//!
//! The history is written first, and read at start. Therefore a daemon that dies between two files neither loses a
//! line nor writes one twice.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Instant, SystemTime},
};

use ipnet::IpNet;
use jiff::tz::TimeZone;

use super::{
    atomic_write::{self, MODE},
    blocked_file,
    deny::Deny,
    flushed::Flushed,
    id_file::{self, IdFile},
    recorder::Recorder,
    retry::Retry,
};
use crate::{
    config::Config,
    modes::Modes,
    policy::{Ids, Ledger, Record, register::Case},
};

/// Suffixes that 1.2 appended to `BLOCKED_FILE`.
pub(super) const SUFFIXES: [&str; 6] = ["tcp", "udp", "stcp", "sudp", "atcp", "audp"];

/// The files.
#[derive(Debug)]
pub struct Files {
    recorder: Recorder,
    ids: IdFile,
    deny: Deny,
    blocked: PathBuf,
    blocked_trouble: Retry,
    /// Whether the blocked file differs from the ledger.
    is_behind: bool,
    /// The blocked file's content as this process last read or wrote it.
    known: Option<Vec<u8>>,
    /// Content that the last flush found, written by another program.
    foreign: Option<Vec<u8>>,
    /// Administrators' reasons for blocks.
    reasons: BTreeMap<IpNet, String>,
    /// Networks with a line in `hosts.deny` from before PortSentry would have written it. These lines aren't
    /// PortSentry's.
    denied_before: BTreeSet<IpNet>,
    /// Sources that the blocked file shows only after the next flush.
    unshown: BTreeSet<IpNet>,
    /// Networks in administrators' lines that no daemon has read yet.
    unread: BTreeSet<IpNet>,
    zone: TimeZone,
}

impl Files {
    /// Creates the files of `config`. `modes` determine the value of `$MODE$`.
    #[must_use]
    pub fn new(config: &Config, modes: Modes) -> Self {
        Self {
            recorder: Recorder::new(config),
            ids: IdFile::new(&config.blocked_file),
            deny: Deny::new(config, modes),
            blocked: config.blocked_file.clone(),
            blocked_trouble: Retry::default(),
            is_behind: false,
            known: None,
            foreign: None,
            reasons: BTreeMap::new(),
            denied_before: BTreeSet::new(),
            unshown: BTreeSet::new(),
            unread: BTreeSet::new(),
            zone: TimeZone::system(),
        }
    }

    /// Reads the blocked file. Returns its records and errors, or `None` in place of records without a file. Then
    /// the files of 1.2's modes are read instead.
    pub fn read(&mut self) -> (Option<Vec<Record>>, Vec<String>) {
        let mut problems = Vec::new();
        self.known = content(&self.blocked, &mut problems);
        let records = if let Some(content) = &self.known {
            Some(records(&self.blocked, content, &mut problems))
        } else {
            let classic = SUFFIXES.iter().filter_map(|suffix| {
                let mut path = self.blocked.clone().into_os_string();
                path.push(format!(".{suffix}"));
                let path = PathBuf::from(path);
                let content = content(&path, &mut problems)?;
                Some(records(&path, &content, &mut problems))
            });
            classic.reduce(|all, more| [all, more].concat())
        };
        self.reasons = self.known.as_deref().map(blocked_file::reasons).unwrap_or_default();
        self.denied_before = self.known.as_deref().map(blocked_file::denied_before).unwrap_or_default();
        self.unread = self.known.as_deref().map(blocked_file::unread).unwrap_or_default();
        problems.extend(self.deny.read());
        self.is_behind |= self.known.is_none() || !problems.is_empty();
        (records, problems)
    }

    /// Reads the blocked file if another program has edited it. Returns its records and errors.
    pub fn edited(&mut self) -> Option<(Vec<Record>, Vec<String>)> {
        let mut problems = Vec::new();
        let Some(content) = content(&self.blocked, &mut problems) else {
            // A deleted file lifts no block, and is written again.
            self.foreign = None;
            self.known = None;
            self.is_behind = true;
            return None;
        };
        if self.known.as_ref() == Some(&content) {
            return None;
        }
        let records = records(&self.blocked, &content, &mut problems);
        self.reasons.extend(blocked_file::reasons(&content));
        self.denied_before.extend(blocked_file::denied_before(&content));
        self.is_behind |= !problems.is_empty();
        self.foreign = None;
        self.known = Some(content);
        Some((records, problems))
    }

    /// Whether the blocked file has yet to show `network`.
    #[must_use]
    pub fn is_unshown(&self, network: IpNet) -> bool {
        self.unshown.contains(&network)
    }

    /// Returns the networks in administrators' lines that no daemon had read before this one.
    #[must_use]
    pub fn take_unread(&mut self) -> BTreeSet<IpNet> {
        std::mem::take(&mut self.unread)
    }

    /// Returns an administrator's reason for the block of `network`, from the blocked file.
    #[must_use]
    pub fn reason(&self, network: IpNet) -> Option<&str> {
        self.reasons.get(&network).map(String::as_str)
    }

    /// Returns history and evidence.
    pub const fn recorder(&mut self) -> &mut Recorder {
        &mut self.recorder
    }

    /// Returns the blocked file's path.
    #[must_use]
    pub fn blocked_file(&self) -> &Path {
        &self.blocked
    }

    /// Reads the ids of an earlier run. Returns the problem with their file, if any.
    #[must_use]
    pub fn read_ids(&self) -> (Ids, Option<String>) {
        match id_file::read(&self.blocked) {
            Ok(ids) => (ids, None),
            Err(error) => (Ids::default(), Some(error.to_string())),
        }
    }

    /// Writes the ids, if they have changed. Returns a message to log, if any.
    pub fn flush_ids(&mut self, ids: &Ids) -> Option<String> {
        self.ids.flush(ids)
    }

    /// Adds a block to the blocked file that the history already has.
    pub fn show(&mut self, record: &Record) {
        self.is_behind = true;
        self.unshown.insert(record.network);
    }

    /// Adds an administrator's reason for a block to the blocked file.
    pub fn explain(&mut self, network: IpNet, reason: String) {
        self.is_behind = true;
        self.reasons.insert(network, reason);
    }

    /// Requests a rewrite of the blocked file from the ledger.
    pub fn rewrite(&mut self) {
        self.is_behind = true;
    }

    /// Requests a line in `hosts.deny` for the network of `case`. `is_new` means that it is the first request.
    pub fn deny(&mut self, case: &Case, is_new: bool) {
        let is_theirs = self.denied_before.contains(&case.record.network);
        self.deny.add(case, is_new, is_theirs);
    }

    /// Requests the removal of a network's line from `hosts.deny`, unless the line is not PortSentry's.
    pub fn allow(&mut self, record: &Record) {
        let is_ours = !self.denied_before.remove(&record.network);
        self.deny.remove(record, is_ours);
    }

    /// Removes a network from the blocked file.
    pub fn hide(&mut self, record: &Record) {
        self.is_behind = true;
        self.unshown.remove(&record.network);
        self.reasons.remove(&record.network);
    }

    /// Requests the removal of all lines of PortSentry in `hosts.deny` whose network isn't among `held`.
    pub fn allow_all_but(&mut self, held: impl Fn(IpNet) -> bool) {
        self.deny.remove_all_but(held);
    }

    /// Immediately removes released networks from `hosts.deny`. Returns the problems.
    pub fn allow_at_once(&mut self, records: &[Record]) -> Vec<String> {
        records.iter().for_each(|record| self.allow(record));
        let mut done = Flushed::default();
        self.deny.flush(&mut done, Instant::now());
        done.news
    }

    /// Writes all changes. After a failure, a file is tried again at growing intervals.
    pub fn flush(&mut self, ledger: &Ledger) -> Flushed {
        let mut done = Flushed::default();
        let now = Instant::now();
        self.recorder.flush(&mut done, now);
        let others = self.deny.flush(&mut done, now);
        self.is_behind |= !others.is_empty();
        self.denied_before.extend(others);
        if self.is_behind && self.blocked_trouble.is_over(now) {
            let text = blocked_file::render(ledger.records(), &self.reasons, &self.denied_before, &self.zone);
            let text = text.into_bytes();
            let foreign = RefCell::new(None);
            let replaced = atomic_write::update(&self.blocked, MODE, |old| {
                // Another program's content must be read before it is overwritten.
                let is_edited = old.is_some() && old != self.known.as_deref();
                foreign.replace(if is_edited { old.map(<[u8]>::to_vec) } else { None });
                (!is_edited && old != Some(text.as_slice())).then(|| text.clone())
            });
            let foreign = foreign.into_inner();
            if replaced.is_ok() && foreign.is_none() {
                self.is_behind = false;
                self.known = Some(text);
                done.shown = std::mem::take(&mut self.unshown).into_iter().collect();
            }
            // An editor may still be writing: a truncated file must not count as deleted lines.
            done.is_edited = foreign.is_some() && foreign == self.foreign;
            self.foreign = foreign;
            let problem = replaced.err().map(|error| error.to_string());
            done.news.extend(self.blocked_trouble.note(problem, &self.blocked.display(), now));
        }
        done
    }
}

fn content(path: &Path, problems: &mut Vec<String>) -> Option<Vec<u8>> {
    atomic_write::read(path).unwrap_or_else(|error| {
        problems.push(error.to_string());
        None
    })
}

fn records(path: &Path, content: &[u8], problems: &mut Vec<String>) -> Vec<Record> {
    let (records, faults) = blocked_file::parse(content, SystemTime::now());
    problems.extend(faults.iter().map(|fault| format!("{}: {fault}", path.display())));
    records
}

#[cfg(test)]
mod tests;
