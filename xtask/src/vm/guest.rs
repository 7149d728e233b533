//! Contents of a machine: the packet table, scans and clock changes, with the programs that they need.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{
    cards::{self, Model},
    disk::{self, Disk},
    initramfs::Initramfs,
    linux::Linux,
    machine::Boots,
};
use crate::{arch::Target, daemon::PROGRAMS, package, paths, setup, shell};

/// The machine's init.
const INIT: &str = include_str!("init.sh");
/// What systemd starts on a machine with it, after each boot.
const AFTER_BOOT: &str = include_str!("booted.sh");
/// Files of a machine with systemd: paths on the base system, and contents.
const SYSTEM: [(&str, &str); 5] = [
    // Tests use its console.
    ("etc/systemd/system/serial-getty@.service", ""),
    ("etc/systemd/system/multi-user.target.d/tests.conf", include_str!("booted/wanted.conf")),
    ("etc/systemd/system/portsentry-tests.service", include_str!("booted/tests.service")),
    ("etc/systemd/system/witness.service", include_str!("booted/witness.service")),
    ("etc/systemd/network/card.network", include_str!("booted/card.network")),
];
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
/// Those of a machine with another processor.
pub(super) const RUNS_OF_ANOTHER_PROCESSOR: [&str; 3] = [
    "packets::the_table_holds_in_the_kernel",
    "scans::",
    "debian_1_2::all_of_it_is_taken_over_and_stays_when_its_leavings_are_purged",
];
/// Those of a machine with systemd. It boots again at each `reboot`, after what the second word names (`booted.sh`). The root stays
/// read-only.
pub(super) const RUNS_UNDER_SYSTEMD: [&str; 10] = [
    "--ignored booted::running::",
    "--ignored booted::a_scanner_is_blocked",
    "reboot",
    "--ignored booted::after_a_reboot",
    "reboot full_disk",
    "--ignored booted::with_a_full_disk",
    "reboot wrong_clock",
    "--ignored booted::with_a_clock_that_jumps",
    "reboot read_only",
    "--ignored booted::with_a_root_that_is_read_only",
];
/// Programs of the host system that the tests run.
const TOOLS: [&str; 16] = [
    "ip",
    "tc",
    "bridge",
    "nsenter",
    "unshare",
    "bpftool",
    "ethtool",
    "nmap",
    "masscan",
    "zmap",
    "hping3",
    "ping",
    "wg",
    "nft",
    "teamnl",
    "keepalived",
];
/// BIRD and a library, among the tools.
const BIRD: [&str; 2] = ["bird/usr/sbin/bird", "libssh/usr/lib/x86_64-linux-gnu/libssh-gcrypt.so.4"];
/// Files that nmap and zmap need for a scan.
const FILES: [&str; 8] = [
    "/usr/share/nmap/nmap-services",
    "/usr/share/nmap/nmap-payloads",
    "/usr/share/nmap/nmap-protocols",
    "/usr/share/nmap/nmap-mac-prefixes",
    "/etc/protocols",
    "/etc/services",
    "/etc/zmap/zmap.conf",
    "/etc/zmap/blacklist.conf",
];
const FOLDERS: [&str; 8] = ["/dev", "/etc", "/proc", "/root", "/run", "/sys", "/tmp", "/var"];

/// Debian packages that tests install, as `PACKAGE.deb`.
const FETCHED: [&str; 1] = ["portsentry"];
/// Directory of the tests and what they bring, in the form of cargo's target directory.
const TARGET: &str = "/portsentry";

/// The contents that are the same for every kernel.
pub(super) struct Guest {
    files: Initramfs,
    disks: Vec<Disk>,
    target: Target,
    boots: Boots,
}

impl Guest {
    /// Builds the tests, and gathers all files to run them with each of `runs`. `linux` configures the base system of
    /// another processor.
    pub(super) fn build(runs: &[String], target: Target, linux: &Linux, boots: Boots) -> Result<Self> {
        let runs = runs.join("\n") + "\n";
        let tests = built(target)?;
        let (files, disks) = if target.foreign().is_none() && boots == Boots::Once {
            (with_programs_of_this_machine(&runs, &tests)?, Vec::new())
        } else {
            let disks = vec![Disk::base(target, linux)?, tests_disk(&runs, &tests, target, boots)?];
            let init = format!("{TARGET}/init");
            (disk::initramfs(target, if boots == Boots::Once { &init } else { "/sbin/init" })?, disks)
        };
        Ok(Self { files, disks, target, boots })
    }

    /// Writes the initramfs for a machine with this kernel.
    pub(super) fn pack(&self, linux: &Linux, cards: Option<Model>, archive: &Path) -> Result<()> {
        let mut files = self.files.clone();
        if let Some(model) = cards {
            files.write(cards::MARK, model.frames().as_bytes());
        }
        let disks = if self.disks.is_empty() { Vec::new() } else { disk::MODULES.into() };
        let devices: Vec<_> = cards.map(Model::modules).into_iter().flatten().chain(disks).collect();
        linux.add_modules(&mut files, &devices)?;
        files.pack(archive)
    }

    /// Its processor.
    pub(super) fn target(&self) -> Target {
        self.target
    }

    /// How often it boots.
    pub(super) fn boots(&self) -> Boots {
        self.boots
    }

    /// Its disks.
    pub(super) fn disks(&self) -> &[Disk] {
        &self.disks
    }
}

/// Returns the files of a machine that runs the programs of this one.
fn with_programs_of_this_machine(runs: &str, tests: &Path) -> Result<Initramfs> {
    let mut files = Initramfs::default();
    FOLDERS.iter().for_each(|folder| files.folder(folder));
    files.write("/init", INIT.as_bytes());
    files.write(&format!("{TARGET}/runs"), runs.as_bytes());
    let busybox = shell::find("busybox").context("`busybox` of the package busybox-static")?;
    files.program(&busybox, Path::new("/bin/busybox"))?;
    for program in TOOLS {
        let path = shell::find(program).with_context(|| format!("`{program}` is missing"))?;
        files.program(&path, &path)?;
    }
    // Where the tests look for it.
    setup::bird()?;
    for file in BIRD {
        files.program(&paths::tools().join(file), &Path::new("/target/tools").join(file))?;
    }
    FILES.iter().map(Path::new).for_each(|file| files.copy(file, file));
    files.program(&paths::debug().join("portsentry"), Path::new("/portsentry/debug/portsentry"))?;
    files.program(tests, Path::new("/portsentry/debug/deps/tests"))?;
    Ok(files)
}

/// Makes the disk with the tests, the programs and the packages.
fn tests_disk(runs: &str, tests: &Path, target: Target, boots: Boots) -> Result<Disk> {
    let packages = package::for_tests_in(target);
    for package in FETCHED {
        setup::fetch(package, target, &packages.join(format!("{package}.deb")))?;
    }
    let directory = tempfile::tempdir_in(paths::vm()).context("a directory for the tests")?;
    let root = directory.path();
    let copy =
        |from: &Path, to: &str| shell::run(Command::new("install").arg("-D").arg(from).arg(root.join(to)));
    for program in PROGRAMS {
        copy(&target.directory("debug").join(program), &format!("debug/{program}"))?;
    }
    copy(tests, "debug/deps/tests")?;
    for entry in fs::read_dir(&packages).with_context(|| packages.display().to_string())?.flatten() {
        if entry.path().is_file() {
            copy(&entry.path(), &format!("debian/{}", entry.file_name().display()))?;
        }
    }
    fs::write(root.join("runs"), runs).context("the tests' arguments")?;
    if boots == Boots::Once {
        disk::install(INIT, &root.join("init"))?;
    } else {
        disk::install(AFTER_BOOT, &root.join("init"))?;
        for (path, content) in SYSTEM {
            let path = root.join("system").join(path);
            let folder = path.parent().context("a folder")?;
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            fs::write(&path, content).with_context(|| path.display().to_string())?;
        }
    }
    Disk::make(root, &paths::vm().join(format!("tests-{}-{boots:?}.ext4", target.debian())))
}

/// Builds the tests, and returns their program's path.
fn built(target: Target) -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(paths::root()).args(["test", "--quiet", "--no-run", "--message-format", "json"]);
    target.aim(&mut cargo);
    cargo.args(["--package", "portsentry-tests", "--test", TESTS]);
    let said = shell::output(&mut cargo)?;
    said.lines().find_map(program).with_context(|| format!("cargo doesn't report the path of {TESTS}"))
}

/// Returns the program's path from a message of cargo, if it names one.
fn program(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    Some(message["executable"].as_str()?.into())
}
