//! The files that follow the kernel's map: history, `hosts.deny` and blocked file, in that order.
//!
//! The history comes first and is looked into at start, so that a daemon that dies between two files neither forgets
//! a line nor writes one twice.

mod deny;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    net::IpAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use jiff::tz::TimeZone;

use self::deny::Deny;
use super::{
    Decided, Named, atomic_write, blocked_file, classic,
    evidence::Evidence,
    history::{self, History},
    revival,
};
use crate::{
    config::{Config, LogFormat},
    modes::Modes,
    policy::{Ledger, Record, Sighting},
};

/// The mode of a file that wasn't there.
pub(super) const MODE: u32 = 0o644;
/// How long it is waited at the most until a file that could not be written is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// What 1.2 appended to `BLOCKED_FILE`.
pub(super) const SUFFIXES: [&str; 6] = ["tcp", "udp", "stcp", "sudp", "atcp", "audp"];

/// The files.
#[derive(Debug)]
pub struct Files {
    history: History,
    history_trouble: Trouble,
    evidence: Option<Evidence>,
    evidence_trouble: Trouble,
    deny: Option<Deny>,
    blocked: PathBuf,
    blocked_trouble: Trouble,
    /// The blocked file differs from the ledger.
    is_behind: bool,
    /// The blocked file's content as this process knows it.
    known: Option<Vec<u8>>,
    /// Content of somebody else's that the last flush came upon.
    foreign: Option<Vec<u8>>,
    /// Why an administrator has sources blocked.
    reasons: BTreeMap<IpAddr, String>,
    /// Whom `hosts.deny` named before we would have: those lines aren't ours.
    denied_before: BTreeSet<IpAddr>,
    /// Sources that the blocked file shows only after the next flush.
    unshown: BTreeSet<IpAddr>,
    format: LogFormat,
    modes: Modes,
    zone: TimeZone,
}

/// A line that was entered in `hosts.deny`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Whom it names.
    pub source: IpAddr,
    /// The line.
    pub line: String,
}

/// What a flush did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Sources that the blocked file shows from now on.
    pub shown: Vec<IpAddr>,
    /// Lines that are new in `hosts.deny`.
    pub denied: Vec<Denied>,
    /// Somebody else has written the blocked file, and it is to be read.
    pub is_edited: bool,
    /// Files that can't be written, or can be again. Each is told once.
    pub news: Vec<String>,
}

impl Files {
    /// The files that `config` names; `modes` tell what `$MODE$` stands for.
    #[must_use]
    pub fn new(config: &Config, modes: Modes) -> Self {
        let deny = config.kill_hosts_deny.clone();
        let deny = deny.map(|line| Deny::new(config.wrapper_hosts_deny.clone(), line));
        Self {
            history: History::new(config.history_file.clone()),
            history_trouble: Trouble::default(),
            evidence: config.evidence_file.clone().map(Evidence::new),
            evidence_trouble: Trouble::default(),
            deny,
            blocked: config.blocked_file.clone(),
            blocked_trouble: Trouble::default(),
            is_behind: false,
            known: None,
            foreign: None,
            reasons: BTreeMap::new(),
            denied_before: BTreeSet::new(),
            unshown: BTreeSet::new(),
            format: config.log_format,
            modes,
            zone: TimeZone::system(),
        }
    }

    /// What the blocked file says, or `None` if there is none; and what is wrong with it. Where there is none, the
    /// files of 1.2's modes are read instead.
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
        self.is_behind |= self.known.is_none() || !problems.is_empty();
        (records, problems)
    }

    /// What the blocked file says if somebody else has edited it, and what is wrong with it.
    pub fn edited(&mut self) -> Option<(Vec<Record>, Vec<String>)> {
        let mut problems = Vec::new();
        let Some(content) = content(&self.blocked, &mut problems) else {
            // A file that is gone lifts nothing; it is written again.
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

    /// Whether the blocked file is still to show `source`.
    #[must_use]
    pub fn is_unshown(&self, source: IpAddr) -> bool {
        self.unshown.contains(&source)
    }

    /// Those of `records` that the history lacks: what an earlier run had no time to write.
    #[must_use]
    pub fn unwritten(&self, records: Vec<Record>) -> (Vec<Record>, Option<String>) {
        match self.history.recent() {
            Ok(recent) => {
                (records.into_iter().filter(|record| !history::is_written(&recent, record)).collect(), None)
            }
            Err(error) => {
                (records, Some(format!("{} can't be read: {error}", self.history.path().display())))
            }
        }
    }

    /// Writes a block down in the history, with the probe that led to it where that is known.
    pub fn record(&mut self, record: &Record, sighting: Option<&Sighting>, source: &Named<'_>) {
        let line = self.history_line(record, sighting, source, blocked_file::done(&record.hold));
        self.history.append(line);
    }

    /// Writes down that a source reached the trigger and was left alone.
    pub fn report(&mut self, record: &Record, sighting: &Sighting, source: &Named<'_>) {
        let line = self.history_line(record, Some(sighting), source, "Reported");
        self.history.append(line);
    }

    /// Who the history says was blocked, as often as it says so. What can't be read says nothing; writing to it will say
    /// why.
    #[must_use]
    pub fn once_blocked(&self) -> Vec<IpAddr> {
        self.history.blocked().unwrap_or_default()
    }

    /// What the evidence says of past blocks, and what is wrong with it.
    #[must_use]
    pub fn decided(&self) -> (Decided, Option<String>) {
        match Decided::read(self.evidence.as_ref().map(Evidence::path)) {
            Ok(decided) => (decided, None),
            Err(error) => (Decided::default(), Some(error.to_string())),
        }
    }

    /// Takes note of a packet, should its source be blocked, or be so now.
    pub fn see(&mut self, sighting: &Sighting, is_held: bool) {
        if let Some(evidence) = &mut self.evidence {
            evidence.see(sighting, is_held);
        }
    }

    /// Has the blocked file show a block that the history has.
    pub fn show(&mut self, record: &Record) {
        self.is_behind = true;
        self.unshown.insert(record.source);
    }

    /// Has the blocked file tell why an administrator has `source` blocked.
    pub fn explain(&mut self, source: IpAddr, reason: String) {
        self.is_behind = true;
        self.reasons.insert(source, reason);
    }

    /// Has the blocked file written as the ledger says.
    pub fn rewrite(&mut self) {
        self.is_behind = true;
    }

    /// Has `hosts.deny` name a source from now on.
    pub fn deny(&mut self, record: &Record) {
        self.ask_for(record, true);
    }

    /// Has `hosts.deny` name a source that it should name already.
    pub fn deny_still(&mut self, record: &Record) {
        self.ask_for(record, false);
    }

    fn ask_for(&mut self, record: &Record, is_new: bool) {
        let mode = self.modes.name(record.hold.protocol, self.format);
        if let Some(deny) = &mut self.deny {
            deny.add(record, mode, is_new);
        }
    }

    /// Takes a source that is no longer blocked out of the files.
    pub fn lift(&mut self, record: &Record) {
        self.is_behind = true;
        self.unshown.remove(&record.source);
        self.reasons.remove(&record.source);
        let is_ours = !self.denied_before.remove(&record.source);
        let mode = self.modes.name(record.hold.protocol, self.format);
        if let Some(deny) = &mut self.deny {
            deny.remove(record, mode, is_ours);
        }
    }

    /// Takes lifted blocks out of `hosts.deny` alone, and returns what is in the way of that.
    pub fn allow(&mut self, records: &[Record]) -> Vec<String> {
        records.iter().for_each(|record| self.lift(record));
        let mut done = Flushed::default();
        if let Some(deny) = &mut self.deny {
            deny.flush(&mut done, Instant::now());
        }
        done.news
    }

    /// Writes what has changed. A file that can't be written is tried again later, ever more seldom.
    pub fn flush(&mut self, ledger: &Ledger) -> Flushed {
        let mut done = Flushed::default();
        let now = Instant::now();
        if self.history_trouble.is_over(now) {
            let path = self.history.path().to_path_buf();
            let written = self.history.flush();
            if let Ok(dropped) = written
                && dropped > 0
            {
                done.news.push(format!("{}: {dropped} lines were lost meanwhile", path.display()));
            }
            let problem = written.err().map(|error| format!("{} can't be written: {error}", path.display()));
            done.news.extend(self.history_trouble.note(problem, &path.display(), now));
        }
        if let Some(evidence) = self.evidence.as_mut().filter(|_| self.evidence_trouble.is_over(now)) {
            let problem = evidence.flush().err();
            let problem =
                problem.map(|error| format!("{} can't be written: {error}", evidence.path().display()));
            done.news.extend(self.evidence_trouble.note(problem, &evidence.path().display(), now));
        }
        if let Some(deny) = &mut self.deny {
            let others = deny.flush(&mut done, now);
            self.is_behind |= !others.is_empty();
            self.denied_before.extend(others);
        }
        if self.is_behind && self.blocked_trouble.is_over(now) {
            let text = blocked_file::render(ledger.records(), &self.reasons, &self.denied_before, &self.zone);
            let text = text.into_bytes();
            let foreign = RefCell::new(None);
            let replaced = atomic_write::update(&self.blocked, MODE, |old| {
                // What somebody has written meanwhile is to be read first.
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
            // An editor that is still writing must not be taken for somebody who deletes lines.
            done.is_edited = foreign.is_some() && foreign == self.foreign;
            self.foreign = foreign;
            let problem = replaced.err().map(|error| error.to_string());
            done.news.extend(self.blocked_trouble.note(problem, &self.blocked.display(), now));
        }
        done
    }

    fn history_line(
        &self,
        record: &Record,
        sighting: Option<&Sighting>,
        source: &Named<'_>,
        done: &str,
    ) -> String {
        let hold = &record.hold;
        match (self.format, sighting) {
            (LogFormat::Revival, Some(sighting)) => {
                revival::stamp(sighting.time, &self.zone) + &revival::scan(sighting, source)
            }
            (LogFormat::Revival, None) => {
                revival::stamp(hold.since, &self.zone) + &revival::block(record, source)
            }
            _ => classic::record(hold.since, source, hold.port, hold.protocol, done, &self.zone),
        }
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

/// A file's trouble: told once when it begins and once when it ends, and waited for ever longer.
#[derive(Debug, Default)]
struct Trouble {
    problem: Option<String>,
    pause: Duration,
    until: Option<Instant>,
}

impl Trouble {
    /// Whether it is time to try again.
    fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now >= until)
    }

    /// Takes note of how an attempt ended; returns what there is to tell.
    fn note(&mut self, problem: Option<String>, file: &dyn Display, now: Instant) -> Option<String> {
        if problem.is_some() {
            self.pause = (self.pause * 2).clamp(Duration::from_secs(1), LONGEST_PAUSE);
            self.until = Some(now + self.pause);
        } else {
            self.until = None;
            self.pause = Duration::ZERO;
        }
        if problem == self.problem {
            return None;
        }
        self.problem = problem;
        Some(self.problem.as_ref().map_or_else(
            || format!("{file} can be written again; nothing was lost"),
            |problem| format!("ERROR: {problem}; it is tried again, and blocks hold meanwhile"),
        ))
    }
}

#[cfg(test)]
mod tests;
