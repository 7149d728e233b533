//! Determines the sources that may contain the tests matching a filter, so that cargo builds only those.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use crate::paths;

/// The packages with tests: their directories and names.
const PACKAGES: [(&str, &str); 9] = [
    ("bench", "portsentry-bench"),
    ("detection", "portsentry-detection"),
    ("fuzz", "portsentry-fuzz"),
    ("portsentry", "portsentry"),
    ("portsentry-common", "portsentry-common"),
    ("portsentry-notify", "portsentry-notify"),
    ("portsentry-share", "portsentry-share"),
    ("tests", "portsentry-tests"),
    ("xtask", "xtask"),
];
/// Directory of the tests that run the daemon.
const OF_DAEMON: &str = "tests/tests";

/// Source paths from the root, with their texts.
pub(crate) struct Scope {
    files: Vec<(PathBuf, String)>,
    is_all: bool,
}

impl Scope {
    /// Returns the sources that may contain a test whose path contains `filter`, or all sources without a filter.
    pub(crate) fn of(filter: Option<&str>) -> Result<Self> {
        let mut files = Vec::new();
        for (folder, _) in PACKAGES {
            read(Path::new(folder), &mut files)?;
        }
        let Some(filter) = filter else { return Ok(Self { files, is_all: true }) };
        // The file's path or text contains the last part of a module path or test name.
        let file =
            filter.split_once("::").map(|(file, _)| Path::new(OF_DAEMON).join(file).with_extension("rs"));
        let part = filter.rsplit("::").find(|part| !part.is_empty()).unwrap_or_default();
        match file.filter(|file| files.iter().any(|(path, _)| path == file)) {
            Some(file) => files.retain(|(path, _)| *path == file),
            None => files.retain(|(path, text)| text.contains(part) || path.to_string_lossy().contains(part)),
        }
        ensure!(!files.is_empty(), "no source has {part} in it");
        Ok(Self { files, is_all: false })
    }

    /// Returns the arguments that restrict cargo to these sources.
    pub(crate) fn arguments(&self) -> Vec<&'static str> {
        if self.is_all {
            return Vec::new();
        }
        let is_in = |folder: &str| self.files.iter().any(|(path, _)| path.starts_with(folder));
        let packages = PACKAGES.into_iter().filter(|(folder, _)| is_in(folder));
        let mut arguments: Vec<_> = packages.flat_map(|(_, name)| ["--package", name]).collect();
        if self.files.iter().all(|(path, _)| path.starts_with(OF_DAEMON)) {
            arguments.extend(["--test", "all"]);
        }
        arguments
    }

    /// Whether a test may run the daemon.
    pub(crate) fn takes_daemon(&self) -> bool {
        self.files.iter().any(|(path, _)| path.starts_with(OF_DAEMON))
    }

    /// Whether the file of a daemon's test contains `words`.
    pub(crate) fn says(&self, words: &str) -> bool {
        self.files.iter().any(|(path, text)| path.starts_with(OF_DAEMON) && text.contains(words))
    }
}

/// Reads all Rust sources below `folder`.
fn read(folder: &Path, files: &mut Vec<(PathBuf, String)>) -> Result<()> {
    let here = paths::root().join(folder);
    let entries = fs::read_dir(&here).with_context(|| here.display().to_string())?;
    let names =
        entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<BTreeSet<_>, _>>()?;
    for path in names.iter().map(|name| folder.join(name)) {
        let full = paths::root().join(&path);
        if full.is_dir() {
            read(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&full).with_context(|| full.display().to_string())?;
            files.push((path, text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(filter: &str) -> Vec<&'static str> {
        Scope::of(Some(filter)).unwrap().arguments()
    }

    #[test]
    fn no_more_is_built_than_may_hold_the_test() {
        let of_daemon = ["--package", "portsentry-tests", "--test", "all"];
        assert_eq!(arguments("parity::"), of_daemon);
        // Split in two, so that this file does not match the filter.
        assert_eq!(arguments(&["the_table_holds", "_for_the_oracle"].concat()), of_daemon);
        assert_eq!(arguments(&["every_shell_is", "_told"].concat()), ["--package", "portsentry"]);
        assert_eq!(arguments("scope::tests::no_more_is_built"), ["--package", "xtask"]);
    }

    #[test]
    fn nothing_is_left_out_that_a_module_may_mean() {
        assert!(arguments("tests").len() == 2 * PACKAGES.len());
        assert!(Scope::of(None).unwrap().arguments().is_empty());
        assert!(Scope::of(Some(&["no_such", "_test"].concat())).is_err());
    }
}
