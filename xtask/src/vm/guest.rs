//! Contents of a machine: the packet table, scans and clock changes, with the programs that they need.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{
    cards::{self, Model},
    initramfs::Initramfs,
    linux::Linux,
};
use crate::{paths, shell};

/// The machine's init.
const INIT: &str = include_str!("init.sh");
/// The test program.
const TESTS: &str = "all";
/// Arguments of each default run of the test program.
pub(super) const RUNS: [&str; 6] = [
    "packets::the_table_holds_in_the_kernel",
    "scans::",
    "--ignored clock::",
    "--ignored bonds::",
    "--ignored devices::",
    "--ignored wireguard::",
];
/// Those of a machine with cards.
pub(super) const RUNS_WITH_CARDS: [&str; 2] = ["--ignored drivers::", "scans::"];
/// Programs of the host system that the tests run.
const PROGRAMS: [&str; 8] = ["ip", "tc", "nsenter", "bpftool", "ethtool", "nmap", "wg", "nft"];
/// Files that nmap needs for a scan.
const FILES: [&str; 6] = [
    "/usr/share/nmap/nmap-services",
    "/usr/share/nmap/nmap-payloads",
    "/usr/share/nmap/nmap-protocols",
    "/usr/share/nmap/nmap-mac-prefixes",
    "/etc/protocols",
    "/etc/services",
];
const FOLDERS: [&str; 8] = ["/dev", "/etc", "/proc", "/root", "/run", "/sys", "/tmp", "/var"];

/// The contents that are the same for every kernel.
pub(super) struct Guest(Initramfs);

impl Guest {
    /// Builds the tests, and gathers all files to run them with each of `runs`.
    pub(super) fn build(runs: &[String]) -> Result<Self> {
        let mut files = Initramfs::default();
        FOLDERS.iter().for_each(|folder| files.folder(folder));
        files.write("/init", INIT.as_bytes());
        files.write("/portsentry/runs", (runs.join("\n") + "\n").as_bytes());
        let busybox = shell::find("busybox").context("`busybox` of the package busybox-static")?;
        files.program(&busybox, Path::new("/bin/busybox"))?;
        for program in PROGRAMS {
            let path = shell::find(program).with_context(|| format!("`{program}` is missing"))?;
            files.program(&path, &path)?;
        }
        FILES.iter().map(Path::new).for_each(|file| files.copy(file, file));
        // The test looks for the daemon in the parent folder, as in cargo's target directory.
        files.program(&paths::debug().join("portsentry"), Path::new("/portsentry/portsentry"))?;
        files.program(&built()?, Path::new("/portsentry/deps/tests"))?;
        Ok(Self(files))
    }

    /// Writes the archive for a machine with this kernel.
    pub(super) fn pack(&self, linux: &Linux, cards: Option<Model>, archive: &Path) -> Result<()> {
        let mut files = self.0.clone();
        if cards.is_some() {
            files.write(cards::MARK, b"");
        }
        for (number, module) in linux.modules(cards.map(Model::module))?.iter().enumerate() {
            files.write(&format!("/portsentry/modules/{number:02}.ko"), module);
        }
        files.pack(archive)
    }
}

/// Builds the tests, and returns their program's path.
fn built() -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(paths::root()).args(["test", "--quiet", "--no-run", "--message-format", "json"]);
    cargo.args(["--package", "portsentry-tests", "--test", TESTS]);
    let said = shell::output(&mut cargo)?;
    said.lines().find_map(program).with_context(|| format!("cargo doesn't report the path of {TESTS}"))
}

/// Returns the program's path from a message of cargo, if it names one.
fn program(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    Some(message["executable"].as_str()?.into())
}
