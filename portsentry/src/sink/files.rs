//! The files that mirror the kernel's map: history, `hosts.deny` and blocked file, written in that order.
//!
//! The history comes first and is read at start, so that a daemon that dies between two files neither loses a line
//! nor writes one twice.

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

/// Mode of a new file.
pub(super) const MODE: u32 = 0o644;
/// Maximum time until a file that could not be written is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The suffixes of 1.2's blocked files.
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
    /// Whether the blocked file differs from the ledger.
    is_behind: bool,
    /// The blocked file's content as this process last read or wrote it.
    known: Option<Vec<u8>>,
    /// Content that the last flush found and this process did not write.
    foreign: Option<Vec<u8>>,
    /// The reasons of administrators' blocks.
    reasons: BTreeMap<IpAddr, String>,
    /// Sources that `hosts.deny` named before PortSentry would have: those lines are not ours.
    denied_before: BTreeSet<IpAddr>,
    /// Sources that the blocked file will show after the next flush.
    unshown: BTreeSet<IpAddr>,
    format: LogFormat,
    modes: Modes,
    zone: TimeZone,
}

/// A line that was added to `hosts.deny`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The source that it names.
    pub source: IpAddr,
    /// The line.
    pub line: String,
}

/// Result of a flush.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Sources that the blocked file now shows.
    pub shown: Vec<IpAddr>,
    /// Lines added to `hosts.deny`.
    pub denied: Vec<Denied>,
    /// Whether another program has written the blocked file, so that it must be read.
    pub is_edited: bool,
    /// Messages about files that can't be written, or can be again, each reported once.
    pub news: Vec<String>,
}

impl Files {
    /// Opens the files that `config` names; `modes` determine `$MODE$`.
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

    /// Reads the blocked file; returns its records, or `None` if there is none, and its faults. If there is none, the
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

    /// Reads the blocked file if another program has edited it; returns its records and its faults.
    pub fn edited(&mut self) -> Option<(Vec<Record>, Vec<String>)> {
        let mut problems = Vec::new();
        let Some(content) = content(&self.blocked, &mut problems) else {
            // A deleted file lifts nothing; it is written again.
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

    /// Whether `source` is yet to appear in the blocked file.
    #[must_use]
    pub fn is_unshown(&self, source: IpAddr) -> bool {
        self.unshown.contains(&source)
    }

    /// Returns those of `records` that the history lacks because an earlier run had no time to write them.
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

    /// Adds a block to the history, with the probe that caused it if that is known.
    pub fn record(&mut self, record: &Record, sighting: Option<&Sighting>, source: &Named<'_>) {
        let line = self.history_line(record, sighting, source, blocked_file::done(&record.hold));
        self.history.append(line);
    }

    /// Adds a source to the history that reached the trigger and was only reported.
    pub fn report(&mut self, record: &Record, sighting: &Sighting, source: &Named<'_>) {
        let line = self.history_line(record, Some(sighting), source, "Reported");
        self.history.append(line);
    }

    /// Returns the blocked sources in the history, once for each block. If it can't be read the result is empty;
    /// writing to it reports the error.
    #[must_use]
    pub fn once_blocked(&self) -> Vec<IpAddr> {
        self.history.blocked().unwrap_or_default()
    }

    /// Reads past decisions from the evidence file; returns its problem, if any.
    #[must_use]
    pub fn decided(&self) -> (Decided, Option<String>) {
        match Decided::read(self.evidence.as_ref().map(Evidence::path)) {
            Ok(decided) => (decided, None),
            Err(error) => (Decided::default(), Some(error.to_string())),
        }
    }

    /// Records a packet as evidence, in case its source is or becomes blocked.
    pub fn see(&mut self, sighting: &Sighting, is_held: bool) {
        if let Some(evidence) = &mut self.evidence {
            evidence.see(sighting, is_held);
        }
    }

    /// Adds a block that the history has to the blocked file.
    pub fn show(&mut self, record: &Record) {
        self.is_behind = true;
        self.unshown.insert(record.source);
    }

    /// Adds the reason of an administrator's block to the blocked file.
    pub fn explain(&mut self, source: IpAddr, reason: String) {
        self.is_behind = true;
        self.reasons.insert(source, reason);
    }

    /// Requests a rewrite of the blocked file from the ledger.
    pub fn rewrite(&mut self) {
        self.is_behind = true;
    }

    /// Adds a source to `hosts.deny`.
    pub fn deny(&mut self, record: &Record) {
        self.ask_for(record, true);
    }

    /// Adds a source to `hosts.deny` that should already be there.
    pub fn deny_still(&mut self, record: &Record) {
        self.ask_for(record, false);
    }

    fn ask_for(&mut self, record: &Record, is_new: bool) {
        let mode = self.modes.name(record.hold.protocol, self.format);
        if let Some(deny) = &mut self.deny {
            deny.add(record, mode, is_new);
        }
    }

    /// Removes a lifted source from the files.
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

    /// Removes lifted blocks from `hosts.deny` alone, and returns the problems.
    pub fn allow(&mut self, records: &[Record]) -> Vec<String> {
        records.iter().for_each(|record| self.lift(record));
        let mut done = Flushed::default();
        if let Some(deny) = &mut self.deny {
            deny.flush(&mut done, Instant::now());
        }
        done.news
    }

    /// Writes all changes. After a failure a file is tried again at growing intervals.
    pub fn flush(&mut self, ledger: &Ledger) -> Flushed {
        let mut done = Flushed::default();
        let now = Instant::now();
        if self.history_trouble.is_over(now) {
            let path = self.history.path().to_path_buf();
            let written = self.history.flush();
            if let Ok(dropped) = written
                && dropped > 0
            {
                done.news.push(format!("{}: {dropped} lines were lost in the meantime", path.display()));
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
                // Foreign content must be read before it is overwritten.
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

/// Trouble with a file: reported once when it begins and once when it ends, and retried at growing intervals.
#[derive(Debug, Default)]
struct Trouble {
    problem: Option<String>,
    pause: Duration,
    until: Option<Instant>,
}

impl Trouble {
    /// Whether it is time for another attempt.
    fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now >= until)
    }

    /// Records the result of an attempt; returns the message to report, if any.
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
            |problem| format!("ERROR: {problem}; retrying, blocks stay in force"),
        ))
    }
}

#[cfg(test)]
mod tests;
