//! `hosts.deny` and what is to change in it. It must not know why.

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

/// The file, and the line that it is to have for each network.
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

/// A line that `hosts.deny` is to have.
#[derive(Clone, Debug)]
struct Asked {
    line: String,
    /// It has never been asked for before, so one that is there is somebody else's.
    is_new: bool,
    /// It was there before us.
    is_theirs: bool,
}

impl Deny {
    /// The file that `config` names; `modes` tell what `$MODE$` stands for.
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

    /// Reads which lines are ours; returns what is wrong with that.
    pub(super) fn read(&mut self) -> Option<String> {
        self.ours.read().err().map(|error| error.to_string())
    }

    /// Has the file name the network of `case`; for the first time, if it `is_new`. A line that was there before us
    /// `is_theirs`.
    pub(super) fn add(&mut self, case: &Case, is_new: bool, is_theirs: bool) {
        let network = case.record.network;
        let Some(line) = self.render(&case.record, case.id, &case.reason) else { return };
        // The line may have had other words, or been made of another setting.
        for old in self.ours.of(network).filter(|old| *old != line) {
            self.remove.insert(old.to_owned());
        }
        // One that is still to be taken out is ours.
        let is_ours = self.remove.remove(&line) || self.ours.has(network, &line);
        let was_new = self.add.get(&network).is_some_and(|asked| asked.is_new);
        self.add.insert(network, Asked { line, is_new: was_new || is_new && !is_ours, is_theirs });
    }

    /// Has the file no longer name a network, if the line `is_ours`.
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

    /// Has the file lose every line of ours that no network of `held` stands for.
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

    /// Writes what has changed. Returns whose line was there before, and is somebody else's.
    pub(super) fn flush(&mut self, done: &mut Flushed, now: Instant) -> Vec<IpNet> {
        let elsewhere = self.ours.elsewhere(&self.path);
        let is_idle = self.add.is_empty() && self.remove.is_empty() && elsewhere.is_empty();
        if is_idle || !self.trouble.is_over(now) {
            return Vec::new();
        }
        let mut others = Vec::new();
        let replaced = self.replace(&elsewhere);
        let problem = replaced.as_ref().err().map(ToString::to_string);
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

    /// Changes the file, and the list of our lines: that names a line before the file has it, and until the file has lost it.
    fn replace(
        &mut self,
        elsewhere: &BTreeMap<PathBuf, BTreeSet<String>>,
    ) -> Result<BTreeSet<String>, WriteError> {
        let old = atomic_write::read(&self.path)?.unwrap_or_default();
        let wanted = self.add.values().map(|asked| &asked.line);
        let edited = hosts_deny::edit(&old, wanted.clone(), &self.remove);
        let added: BTreeSet<String> = edited.into_iter().flat_map(|(_, added)| added).collect();
        // Those that are there, and were asked for before, are ours too.
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
