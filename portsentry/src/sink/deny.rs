//! `hosts.deny`, and its pending changes. The callers decide on these.

mod ours;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Instant,
};

use ipnet::IpNet;

use self::ours::Ours;
use super::{
    atomic_write::{self, MODE, WriteError},
    flushed::{Denied, Flushed},
    hosts_deny,
    retry::Retry,
};
use crate::{
    config::{Config, DenyLine, LogFormat, Values},
    modes::Modes,
    policy::{BlockId, Record, register::Case},
};

/// The file, with the line to add for each network, and the lines to remove.
#[derive(Debug)]
pub(super) struct Deny {
    path: PathBuf,
    line: Option<DenyLine>,
    add: BTreeMap<IpNet, Asked>,
    remove: BTreeSet<String>,
    ours: Ours,
    trouble: Retry,
    modes: Modes,
    format: LogFormat,
}

/// A line to add to `hosts.deny`.
#[derive(Clone, Debug)]
struct Asked {
    line: String,
    /// Whether it is requested for the first time. If so, an existing line is not PortSentry's.
    is_new: bool,
    /// Whether the line was there before PortSentry would have written it.
    is_theirs: bool,
}

impl Deny {
    /// Creates the state for the file in `config`. `modes` determine the value of `$MODE$`.
    pub(super) fn new(config: &Config, modes: Modes) -> Self {
        Self {
            path: config.wrapper_hosts_deny.clone(),
            line: config.kill_hosts_deny.clone(),
            add: BTreeMap::new(),
            remove: BTreeSet::new(),
            ours: Ours::new(&config.blocked_file),
            trouble: Retry::default(),
            modes,
            format: config.log_format,
        }
    }

    /// Reads the list of PortSentry's lines. Returns the problem, if any.
    pub(super) fn read(&mut self) -> Option<String> {
        self.ours.read().err().map(|error| error.to_string())
    }

    /// Requests a line for the network of `case`. `is_new` means that it is the first request, and `is_theirs` that
    /// the line was there before PortSentry would have written it.
    pub(super) fn add(&mut self, case: &Case, is_new: bool, is_theirs: bool) {
        let network = case.record.network;
        let Some(line) = self.render(&case.record, case.id, &case.reason) else { return };
        // The old line may have had other words, or come from another setting.
        for old in self.ours.of(network).filter(|old| *old != line) {
            self.remove.insert(old.to_owned());
        }
        // A line that has yet to be removed is PortSentry's.
        let is_ours = self.remove.remove(&line) || self.ours.has(network, &line);
        let was_new = self.add.get(&network).is_some_and(|asked| asked.is_new);
        self.add.insert(network, Asked { line, is_new: was_new || is_new && !is_ours, is_theirs });
    }

    /// Requests the removal of a network's line, if the line `is_ours`.
    pub(super) fn remove(&mut self, record: &Record, is_ours: bool) {
        let network = record.network;
        let unwritten = self.add.remove(&network);
        self.remove.extend(self.ours.of(network).map(str::to_owned));
        // Earlier versions kept no list of their lines.
        if let Some(line) = self.render(record, None, "").filter(|_| is_ours)
            && unwritten.is_none_or(|asked| !asked.is_new)
        {
            self.remove.insert(line);
        }
    }

    /// Requests the removal of all lines of PortSentry whose network isn't among `held`.
    pub(super) fn remove_all_but(&mut self, held: impl Fn(IpNet) -> bool) {
        let gone = self.ours.iter().filter(|(network, _)| self.line.is_none() || !held(*network));
        let gone: Vec<String> = gone.map(|(_, line)| line.to_owned()).collect();
        self.remove.extend(gone);
    }

    fn render(&self, record: &Record, id: Option<BlockId>, reason: &str) -> Option<String> {
        let mode = self.modes.name(record.hold.protocol, self.format);
        let values = Values::new(record, id, mode, reason);
        Some(self.line.as_ref()?.render(&values).trim().to_owned())
    }

    /// Writes the pending changes. Returns the networks whose line was there before, and is not PortSentry's.
    pub(super) fn flush(&mut self, done: &mut Flushed, now: Instant) -> Vec<IpNet> {
        let elsewhere = self.ours.elsewhere(&self.path);
        let is_idle = self.add.is_empty() && self.remove.is_empty() && elsewhere.is_empty();
        if is_idle || !self.trouble.is_over(now) {
            return Vec::new();
        }
        let mut others = Vec::new();
        let replaced = self.replace(&elsewhere);
        let problem = replaced.as_ref().err().map(|error| {
            let path = self.path.display();
            if self.ours.is_behind() {
                format!("{path} waits for the list of its lines: {error}")
            } else {
                error.to_string()
            }
        });
        if let Ok(added) = replaced {
            self.remove.clear();
            for (network, asked) in std::mem::take(&mut self.add) {
                if added.contains(&asked.line) {
                    done.denied.push(Denied { network, line: asked.line });
                } else if asked.is_new {
                    others.push(network);
                }
            }
        }
        done.news.extend(self.trouble.note(problem, &self.path.display(), now));
        others
    }

    /// Changes the file and the list of PortSentry's lines. The list has each line before it is added to the file,
    /// and until it is removed from it.
    fn replace(
        &mut self,
        elsewhere: &BTreeMap<PathBuf, BTreeSet<String>>,
    ) -> Result<BTreeSet<String>, WriteError> {
        let old = atomic_write::read(&self.path)?.unwrap_or_default();
        let wanted = self.add.values().map(|asked| &asked.line);
        let edited = hosts_deny::edit(&old, wanted.clone(), &self.remove);
        let added: BTreeSet<String> = edited.into_iter().flat_map(|(_, added)| added).collect();
        // Existing lines that were requested before are PortSentry's, too.
        let known = self
            .add
            .iter()
            .filter(|(_, asked)| !(asked.is_new || asked.is_theirs) || added.contains(&asked.line));
        let known = known.map(|(network, asked)| (*network, asked.line.clone())).collect();
        self.ours.add(&self.path, known)?;
        let written = edit(&self.path, &wanted, &self.remove)?;
        for (path, lines) in elsewhere {
            edit(path, &[].iter(), lines)?;
        }
        self.ours.forget(&self.path, &self.remove, elsewhere)?;
        Ok(written)
    }
}

fn edit<'a>(
    path: &Path,
    add: &(impl Iterator<Item = &'a String> + Clone),
    remove: &BTreeSet<String>,
) -> Result<BTreeSet<String>, WriteError> {
    let added = RefCell::new(Vec::new());
    atomic_write::update(path, MODE, |old| {
        let (new, lines) = hosts_deny::edit(old.unwrap_or_default(), add.clone(), remove)?;
        added.replace(lines);
        Some(new)
    })?;
    Ok(added.into_inner().into_iter().collect())
}
