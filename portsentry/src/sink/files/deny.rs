//! Pending changes of `hosts.deny`.

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

/// The pending changes, by the line of each source.
#[derive(Debug)]
pub(super) struct Deny {
    path: PathBuf,
    line: DenyLine,
    /// Keyed by line, so that lookups stay fast under a flood.
    add: BTreeMap<String, Asked>,
    remove: BTreeSet<String>,
    trouble: Trouble,
}

/// A pending line in `hosts.deny`.
#[derive(Clone, Copy, Debug)]
struct Asked {
    source: IpAddr,
    /// Whether the line was never requested before, so that an existing one is not ours.
    is_new: bool,
}

impl Deny {
    /// Creates pending changes for the file at `path`.
    pub(super) fn new(path: PathBuf, line: DenyLine) -> Self {
        let (add, remove) = (BTreeMap::new(), BTreeSet::new());
        Self { path, line, add, remove, trouble: Trouble::default() }
    }

    /// Requests a line for a source; `is_new` if it is the first time.
    pub(super) fn add(&mut self, record: &Record, mode: &str, is_new: bool) {
        let line = self.line(record, mode);
        // A line that is still waiting to be removed is ours.
        let is_ours = self.remove.remove(&line);
        let asked = self.add.entry(line).or_insert(Asked { source: record.source, is_new: false });
        asked.is_new |= is_new && !is_ours;
    }

    /// Requests the removal of a source's line, if it `is_ours`.
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

    /// Writes the changes. Returns the sources whose line was already there and is not ours.
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
