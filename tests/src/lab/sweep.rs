//! Removes the remains of dead processes' labs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::maps::remove_pins;

/// Prefix of every namespace's name, before the process number.
pub(super) const PREFIX: &str = "portsentry-test-";
/// Prefix of every pin directory, before the process number.
pub(super) const PINS: &str = "/sys/fs/bpf/portsentry-test-";

/// Removes namespaces and pins of dead processes.
pub(super) fn sweep() {
    for orphan in orphans(Path::new("/var/run/netns"), PREFIX) {
        let Some(name) = orphan.file_name() else { continue };
        let _ = Command::new("ip").args(["netns", "delete"]).arg(name).stderr(Stdio::null()).status();
    }
    let pins = Path::new(PINS);
    if let (Some(directory), Some(prefix)) = (pins.parent(), pins.file_name().and_then(|name| name.to_str()))
    {
        orphans(directory, prefix).iter().for_each(|orphan| remove_pins(orphan));
    }
}

/// Returns the entries of `directory` named `prefix`, a dead process's number, and possibly a dash and more.
fn orphans(directory: &Path, prefix: &str) -> Vec<PathBuf> {
    let is_orphan = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(prefix));
        let process =
            name.and_then(|rest| rest.split('-').next()).and_then(|number| number.parse::<u32>().ok());
        process.is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists())
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(is_orphan).collect()
}
