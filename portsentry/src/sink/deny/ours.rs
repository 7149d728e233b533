//! The list of PortSentry's lines in `hosts.deny`, kept beside the blocked file (`BLOCKED_FILE.denied`). With it,
//! the lines are found even after changes of the blocked file or of `KILL_HOSTS_DENY`. The list has each line
//! before it is added to `hosts.deny`, and until it is removed from there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    path::{Path, PathBuf},
};

use ipnet::IpNet;

use super::super::{
    atomic_write::{self, MODE, WriteError},
    beside::beside,
};
use crate::policy::{name_of, network_of};

/// The lines by network, each with its file's path.
#[derive(Debug)]
pub(super) struct Ours {
    path: PathBuf,
    lines: BTreeSet<(IpNet, PathBuf, String)>,
    /// The file lacks a change, perhaps because it could not be written.
    is_behind: bool,
}

impl Ours {
    /// Creates the list beside `blocked`, still unread.
    pub(super) fn new(blocked: &Path) -> Self {
        Self { path: beside(blocked, ".denied"), lines: BTreeSet::new(), is_behind: false }
    }

    /// Whether the list on the disk lacks a change.
    pub(super) const fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Reads the list. Skips unreadable lines.
    pub(super) fn read(&mut self) -> Result<(), WriteError> {
        let content = atomic_write::read(&self.path)?.unwrap_or_default();
        self.lines = String::from_utf8_lossy(&content).lines().filter_map(read_line).collect();
        Ok(())
    }

    /// Returns all lines with their networks.
    pub(super) fn iter(&self) -> impl Iterator<Item = (IpNet, &str)> {
        self.lines.iter().map(|(network, _, line)| (*network, line.as_str()))
    }

    /// The lines that name `network`.
    pub(super) fn of(&self, network: IpNet) -> impl Iterator<Item = &str> {
        let from = (network, PathBuf::new(), String::new());
        let lines = self.lines.range(from..).take_while(move |(other, ..)| *other == network);
        lines.map(|(_, _, line)| line.as_str())
    }

    /// Whether the line is PortSentry's.
    pub(super) fn has(&self, network: IpNet, line: &str) -> bool {
        self.of(network).any(|other| other == line)
    }

    /// Returns the lines in files other than `path`, from earlier values of `WRAPPER_HOSTS_DENY`.
    pub(super) fn elsewhere(&self, path: &Path) -> BTreeMap<PathBuf, BTreeSet<String>> {
        let mut elsewhere = BTreeMap::<PathBuf, BTreeSet<String>>::new();
        for (_, other, line) in self.lines.iter().filter(|(_, other, _)| other != path) {
            elsewhere.entry(other.clone()).or_default().insert(line.clone());
        }
        elsewhere
    }

    /// Adds lines in the file at `path` to the list.
    pub(super) fn add(&mut self, path: &Path, lines: Vec<(IpNet, String)>) -> Result<(), WriteError> {
        let count = self.lines.len();
        self.lines.extend(lines.into_iter().map(|(network, line)| (network, path.to_owned(), line)));
        self.is_behind |= self.lines.len() != count;
        self.write()
    }

    /// Removes lines from the list that were removed from the file at `path`, or from other files.
    pub(super) fn forget(
        &mut self,
        path: &Path,
        gone: &BTreeSet<String>,
        elsewhere: &BTreeMap<PathBuf, BTreeSet<String>>,
    ) -> Result<(), WriteError> {
        let count = self.lines.len();
        let is_gone = |file: &PathBuf, line: &String| {
            if file == path { gone.contains(line) } else { elsewhere.contains_key(file) }
        };
        self.lines.retain(|(_, file, line)| !is_gone(file, line));
        self.is_behind |= self.lines.len() != count;
        self.write()
    }

    fn write(&mut self) -> Result<(), WriteError> {
        if !self.is_behind {
            return Ok(());
        }
        let mut text =
            String::from("# Lines of hosts.deny that are PortSentry's: whom they name, the file, the line\n");
        for (network, file, line) in &self.lines {
            // Writing to a string can't fail.
            let _ = writeln!(text, "{}\t{}\t{line}", name_of(*network), file.display());
        }
        atomic_write::update(&self.path, MODE, |_| Some(text.clone().into_bytes()))?;
        self.is_behind = false;
        Ok(())
    }
}

fn read_line(line: &str) -> Option<(IpNet, PathBuf, String)> {
    let mut parts = line.splitn(3, '\t');
    let (network, file, line) = (parts.next()?, parts.next()?, parts.next()?);
    let network = network.parse().ok().or_else(|| Some(network_of(network.parse().ok()?, 0)))?;
    (!line.is_empty()).then(|| (network, file.into(), line.to_owned()))
}
