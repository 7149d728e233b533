//! The structure of the code: imports without cycles, and short files.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use portsentry_tests::{document::root, imports::Crate};

/// Maximum number of lines of a file.
const MOST: usize = 400;
/// Number of lines that at least half of the files don't reach.
const USUAL: usize = 150;
const PACKAGES: [&str; 10] = [
    "bench",
    "detection",
    "fuzz",
    "portsentry",
    "portsentry-common",
    "portsentry-ebpf",
    "portsentry-notify",
    "portsentry-share",
    "tests",
    "xtask",
];

#[test]
fn files_import_without_cycles() {
    for package in PACKAGES {
        for folder in ["src", "tests"].map(|folder| root().join(package).join(folder)) {
            if folder.exists() {
                let cycles = Crate::read(&folder).circles();
                assert!(cycles.is_empty(), "{} has cycles: {cycles:#?}", folder.display());
            }
        }
    }
}

#[test]
fn no_file_is_longer_than_four_hundred_lines_and_most_are_short() {
    let mut files = Vec::new();
    PACKAGES.iter().for_each(|package| gather(&root().join(package), &mut files));
    let mut files: Vec<_> = files.into_iter().map(|path| (lines(&path), path)).collect();
    files.sort_unstable();
    let longer: Vec<_> = files.iter().filter(|(lines, _)| *lines > MOST).collect();
    assert!(longer.is_empty(), "longer than {MOST} lines: {longer:#?}");
    let (median, _) = files[files.len() / 2];
    assert!(median < USUAL, "half of the files have {median} lines or more");
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).expect("a source").lines().count()
}

/// Collects the sources below `folder`.
fn gather(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            gather(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// A sink for events with its own setting, as a contributor would add it: `cargo xtask gen-docs` generates the
/// rest.
#[test]
fn a_new_sink_with_a_setting_touches_three_files() {
    const PATCH: &str = "tests/patches/webhook.diff";
    let text = fs::read_to_string(root().join(PATCH)).expect("a patch");
    let files: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_prefix("+++ b/")).collect();
    let expected =
        ["portsentry/src/config/keys/log.rs", "portsentry/src/sink.rs", "portsentry/src/sink/webhook.rs"];
    assert_eq!(files, expected.into());
    let applied =
        Command::new("git").current_dir(root()).args(["apply", "--check"]).arg(PATCH).output().expect("git");
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
}
