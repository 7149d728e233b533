//! The structure of the code: no new cycle of imports between files, and no new long file.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use portsentry_tests::{document::root, imports::Crate};

/// The existing cycles of each crate. A new cycle fails the test; remove a resolved one from here.
const CIRCLES: [(&str, &[&str]); 2] = [("portsentry", &[]), ("portsentry-common", &[])];

/// Maximum number of lines of a file.
const MOST: usize = 400;
/// Files that exceed it. A new one fails the test; remove a shortened one from here.
const LONGER: [&str; 5] = [
    "tests/src/oracle.rs",
    "tests/src/table/settings.rs",
    "tests/tests/changes.rs",
    "tests/tests/commands.rs",
    "tests/tests/restarts.rs",
];
const PACKAGES: [&str; 7] =
    ["bench", "fuzz", "portsentry", "portsentry-common", "portsentry-ebpf", "tests", "xtask"];

#[test]
fn no_new_circle_of_imports() {
    for (name, known) in CIRCLES {
        let found = Crate::read(&root().join(name).join("src")).circles();
        let known: Vec<BTreeSet<_>> =
            known.iter().map(|circle| circle.split(' ').map(str::to_owned).collect()).collect();
        for circle in &found {
            assert!(known.iter().any(|known| circle.is_subset(known)), "{name} has a new cycle: {circle:?}");
        }
        for known in &known {
            assert!(found.iter().any(|circle| circle.is_subset(known)), "{name} has this no more: {known:?}");
        }
    }
}

#[test]
fn no_new_file_is_longer_than_four_hundred_lines() {
    let mut longer = BTreeSet::new();
    PACKAGES.iter().for_each(|package| gather_longer(Path::new(package), &mut longer));
    assert_eq!(longer, LONGER.map(str::to_owned).into());
}

/// Collects the sources below `folder`, a path from the root, that are too long.
fn gather_longer(folder: &Path, longer: &mut BTreeSet<String>) {
    for entry in fs::read_dir(root().join(folder)).expect("a folder of sources") {
        let path = folder.join(entry.expect("an entry").file_name());
        let full = root().join(&path);
        if full.is_dir() {
            gather_longer(&path, longer);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && fs::read_to_string(&full).expect("a source").lines().count() > MOST
        {
            longer.insert(path.to_string_lossy().into_owned());
        }
    }
}

/// A sink for events with a setting of its own, as somebody would add it: `cargo xtask gen-docs` makes the rest.
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
