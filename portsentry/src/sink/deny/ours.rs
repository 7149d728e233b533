//! Which lines of `hosts.deny` are ours, kept beside the blocked file (`BLOCKED_FILE.denied`): so that they are found
//! whatever becomes of the blocked file and of `KILL_HOSTS_DENY`. A line is named here before `hosts.deny` has it, and until
//! `hosts.deny` has lost it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    path::{Path, PathBuf},
};

use ipnet::IpNet;

use super::super::atomic_write::{self, MODE, WriteError};
use crate::policy::{name_of, network_of};

/// The lines, by network, each with the file that it is in.
#[derive(Debug)]
pub(super) struct Ours {
    path: PathBuf,
    lines: BTreeSet<(IpNet, PathBuf, String)>,
}

impl Ours {
    /// Those that are listed beside `blocked`, once they are read.
    pub(super) fn new(blocked: &Path) -> Self {
        let mut path = blocked.as_os_str().to_owned();
        path.push(".denied");
        Self { path: path.into(), lines: BTreeSet::new() }
    }

    /// Reads the list. Lines that say nothing are left out.
    pub(super) fn read(&mut self) -> Result<(), WriteError> {
        let content = atomic_write::read(&self.path)?.unwrap_or_default();
        self.lines = String::from_utf8_lossy(&content).lines().filter_map(read_line).collect();
        Ok(())
    }

    /// All of them, with whom they name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (IpNet, &str)> {
        self.lines.iter().map(|(network, _, line)| (*network, line.as_str()))
    }

    /// The lines that name `network`.
    pub(super) fn of(&self, network: IpNet) -> impl Iterator<Item = &str> {
        let from = (network, PathBuf::new(), String::new());
        let lines = self.lines.range(from..).take_while(move |(other, ..)| *other == network);
        lines.map(|(_, _, line)| line.as_str())
    }

    /// Whether that line is ours.
    pub(super) fn has(&self, network: IpNet, line: &str) -> bool {
        self.of(network).any(|other| other == line)
    }

    /// The lines that are in other files than `path`, as `WRAPPER_HOSTS_DENY` was another one.
    pub(super) fn elsewhere(&self, path: &Path) -> BTreeMap<PathBuf, BTreeSet<String>> {
        let mut elsewhere = BTreeMap::<PathBuf, BTreeSet<String>>::new();
        for (_, other, line) in self.lines.iter().filter(|(_, other, _)| other != path) {
            elsewhere.entry(other.clone()).or_default().insert(line.clone());
        }
        elsewhere
    }

    /// Lists more lines of the file at `path`.
    pub(super) fn add(&mut self, path: &Path, lines: Vec<(IpNet, String)>) -> Result<(), WriteError> {
        let count = self.lines.len();
        self.lines.extend(lines.into_iter().map(|(network, line)| (network, path.to_owned(), line)));
        if self.lines.len() == count { Ok(()) } else { self.write() }
    }

    /// Lists those no more that were taken out of the file at `path`, and of others.
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
        if self.lines.len() == count { Ok(()) } else { self.write() }
    }

    fn write(&self) -> Result<(), WriteError> {
        let mut text =
            String::from("# Lines of hosts.deny that are PortSentry's: whom they name, the file, the line\n");
        for (network, file, line) in &self.lines {
            // Writing to a string can't fail.
            let _ = writeln!(text, "{}\t{}\t{line}", name_of(*network), file.display());
        }
        atomic_write::update(&self.path, MODE, |_| Some(text.clone().into_bytes()))
    }
}

fn read_line(line: &str) -> Option<(IpNet, PathBuf, String)> {
    let mut parts = line.splitn(3, '\t');
    let (network, file, line) = (parts.next()?, parts.next()?, parts.next()?);
    let network = network.parse().ok().or_else(|| Some(network_of(network.parse().ok()?, 0)))?;
    (!line.is_empty()).then(|| (network, file.into(), line.to_owned()))
}
