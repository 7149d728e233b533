//! `hosts.deny` and what is to change in it.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::PathBuf,
    time::Instant,
};

use super::{
    super::{
        atomic_write::{self, WriteError},
        hosts_deny,
    },
    Denied, Flushed, MODE, Trouble,
};
use crate::{
    config::{DenyLine, Values},
    policy::Record,
};

/// The file, by the line that it is to have for each source.
#[derive(Debug)]
pub(super) struct Deny {
    path: PathBuf,
    line: DenyLine,
    /// By line, so that a flood's worth of them is found quickly.
    add: BTreeMap<String, Asked>,
    remove: BTreeSet<String>,
    trouble: Trouble,
}

/// Whose line `hosts.deny` is to have.
#[derive(Clone, Copy, Debug)]
struct Asked {
    source: IpAddr,
    /// It has never been asked for before, so one that is there is somebody else's.
    is_new: bool,
}

impl Deny {
    /// Changes the file at `path`.
    pub(super) fn new(path: PathBuf, line: DenyLine) -> Self {
        let (add, remove) = (BTreeMap::new(), BTreeSet::new());
        Self { path, line, add, remove, trouble: Trouble::default() }
    }

    /// Has the file name a source; for the first time, if it `is_new`.
    pub(super) fn add(&mut self, record: &Record, mode: &str, is_new: bool) {
        let line = self.line(record, mode);
        // One that is still to be taken out is ours.
        let is_ours = self.remove.remove(&line);
        let asked = self.add.entry(line).or_insert(Asked { source: record.source, is_new: false });
        asked.is_new |= is_new && !is_ours;
    }

    /// Has the file no longer name a source, if the line `is_ours`.
    pub(super) fn remove(&mut self, record: &Record, mode: &str, is_ours: bool) {
        let line = self.line(record, mode);
        let is_unwritten = self.add.remove(&line).is_some_and(|asked| asked.is_new);
        if is_ours && !is_unwritten {
            self.remove.insert(line);
        }
    }

    fn line(&self, record: &Record, mode: &str) -> String {
        let values = Values {
            target: record.network(),
            port: record.hold.port,
            mode,
            proof: record.hold.proof.name(),
        };
        self.line.render(&values).trim().to_owned()
    }

    /// Writes what has changed. Returns whose line was there before, and is somebody else's.
    pub(super) fn flush(&mut self, done: &mut Flushed, now: Instant) -> Vec<IpAddr> {
        if (self.add.is_empty() && self.remove.is_empty()) || !self.trouble.is_over(now) {
            return Vec::new();
        }
        let mut others = Vec::new();
        let added = RefCell::new(Vec::new());
        let replaced: Result<(), WriteError> = atomic_write::update(&self.path, MODE, |old| {
            let (new, lines) = hosts_deny::edit(old.unwrap_or_default(), self.add.keys(), &self.remove)?;
            added.replace(lines);
            Some(new)
        });
        if replaced.is_ok() {
            self.remove.clear();
            let mut asked = std::mem::take(&mut self.add);
            let denied = added.into_inner().into_iter();
            let ours = |line: String| asked.remove(&line).map(|asked| Denied { source: asked.source, line });
            done.denied = denied.filter_map(ours).collect();
            others.extend(asked.into_values().filter(|asked| asked.is_new).map(|asked| asked.source));
        }
        let problem = replaced.err().map(|error| error.to_string());
        done.news.extend(self.trouble.note(problem, &self.path.display(), now));
        others
    }
}
