//! Reads the history line by line, so that its size doesn't matter.

use std::{
    io::{self, BufRead, Read},
    time::SystemTime,
};

use super::{error::Error, past::Entry};
use crate::{
    config::Config,
    policy::register::HistoryAction,
    sink::{
        Decided, HistoryLine,
        rotated::{self, Part},
    },
};

/// Maximum length of a line in bytes. A longer one is in no known format.
const LONGEST: u64 = 16 << 10;

/// The history's files and the evidence, open.
#[derive(Debug)]
pub struct Stream {
    parts: Vec<Part>,
    decided: Decided,
    problems: Vec<String>,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Number of lines.
    pub lines: u64,
    /// Number of lines in neither format.
    pub torn: u64,
    /// Number of lines of 2.x about a block or a fence of which the evidence doesn't say which.
    pub ambiguous: u64,
    /// Reasons why files or details are missing.
    pub problems: Vec<String>,
}

impl Stream {
    /// Opens the files with entries since `since`. Missing files count as empty.
    pub fn open(config: &Config, since: SystemTime) -> Result<Self, Error> {
        let path = &config.history_file;
        let opened = rotated::open(path).map_err(|source| Error::File { path: path.clone(), source })?;
        let mut problems = opened.problems;
        let decided = Decided::read(config.evidence_file.as_deref()).unwrap_or_else(|error| {
            problems.push(format!("{error}; kinds and proofs are shown only where the history has them"));
            Decided::default()
        });
        let parts = opened.parts.into_iter().filter(|part| part.modified >= since).collect();
        Ok(Self { parts, decided, problems })
    }

    /// Returns the number of bytes to read. Compressed files have more lines in them.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.parts.iter().map(Part::length).sum()
    }

    /// Passes each entry to `take`, in no particular order of files, and the number of bytes read so far to
    /// `progress`. A damaged file hides no other.
    pub fn read(self, mut take: impl FnMut(Entry), mut progress: impl FnMut(u64)) -> Extent {
        let Self { parts, decided, problems } = self;
        let mut extent = Extent { problems, ..Extent::default() };
        let mut before = 0;
        for part in parts {
            let (name, length) = (part.path.display().to_string(), part.length());
            let mut read = |line: &str, at: u64| {
                extent.lines += 1;
                progress(before + at.min(length));
                match HistoryLine::read(line) {
                    Some(line) => {
                        let action = action(&line, &decided);
                        extent.ambiguous += u64::from(action.is_none());
                        let action = action.unwrap_or(line.action);
                        take(Entry { action, ..Entry::new(line, &decided) });
                    }
                    None => extent.torn += u64::from(!line.trim().is_empty()),
                }
            };
            if let Err(error) = lines(part.reader(), &mut read) {
                extent.problems.push(format!("{name} can't be read: {error}"));
            }
            before += length;
        }
        progress(before);
        extent
    }
}

/// Returns the action, or `None` if it may be a fence or a block: 2.x's lines, which alone have a kind, call both a
/// block.
fn action(line: &HistoryLine, decided: &Decided) -> Option<HistoryAction> {
    if line.action != HistoryAction::Blocked || line.kind.is_none() {
        return Some(line.action);
    }
    let is = |is_fence| decided.at(line.network, line.time, is_fence).is_some();
    if is(false) { Some(HistoryAction::Blocked) } else { is(true).then_some(HistoryAction::Fenced) }
}

/// Passes each line, and the number of bytes so far, to `take`.
fn lines(mut reader: impl BufRead, take: &mut impl FnMut(&str, u64)) -> io::Result<()> {
    let (mut line, mut at) = (Vec::new(), 0);
    loop {
        line.clear();
        let length = reader.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
        if length == 0 {
            return Ok(());
        }
        at += length as u64;
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        take(&String::from_utf8_lossy(&line), at);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn lines_of_all_files_are_read_once() {
        let directory = tempfile::tempdir().unwrap();
        let config = Config {
            history_file: directory.path().join("history"),
            evidence_file: None,
            ..Config::default()
        };
        let line =
            |number| format!("17953891{number:02} - a b Host: x/192.0.2.{number} Port: 1 TCP Blocked\n");
        fs::write(&config.history_file, line(1) + &line(2) + "torn\n").unwrap();
        fs::write(directory.path().join("history.1"), line(3) + &"x".repeat(40_000) + "\n\n").unwrap();
        let (mut seen, mut last) = (Vec::new(), 0);
        let stream = Stream::open(&config, SystemTime::UNIX_EPOCH).unwrap();
        let length = stream.length();
        let extent = stream.read(|entry| seen.push(entry.address.addr().to_string()), |at| last = at);
        seen.sort();
        assert_eq!(seen, ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
        assert_eq!((last, extent.torn), (length, 4), "a long line counts once for each piece");
        let later = SystemTime::now() + std::time::Duration::from_mins(1);
        assert_eq!(Stream::open(&config, later).unwrap().length(), 0);
        let missing = Config { history_file: directory.path().join("none/history"), ..config };
        assert_eq!(Stream::open(&missing, SystemTime::UNIX_EPOCH).unwrap().length(), 0);
    }
}
