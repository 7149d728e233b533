//! `cargo xtask package`: the Debian package.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use anyhow::{Context, Result};
use clap::Args;

use crate::{
    build_ebpf,
    daemon::{PROGRAMS, cargo, daemon, static_programs, target},
    gen_docs, paths, setup, shell,
};

/// The package to build.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Arguments {
    /// Pack an unoptimised build, as two revisions of a version, for the tests to install and upgrade
    #[arg(long)]
    debug: bool,
    /// Pack programs that need no shared libraries
    #[arg(long = "static", conflicts_with = "debug")]
    is_static: bool,
}

/// Arguments for the packages that tests use.
pub(crate) const FOR_TESTS: Arguments = Arguments { debug: true, is_static: false };

/// Inputs of the package besides the programs: files to pack, and the package's description.
const PACKED: [&str; 5] = ["CHANGELOG.md", "docs", "etc", "pkg", "portsentry/Cargo.toml"];

/// Builds everything and packs it.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.debug {
        return for_tests();
    }
    let cargo_deb = setup::deb::find_or_install()?;
    build_ebpf::run()?;
    // Tests compare the generated files in the tree with the code.
    gen_docs::run()?;
    shell::step("building the daemon and the notifier (a minute the first time)");
    let mut pack = pack(&cargo_deb, "release", "1", &paths::target().join("debian"));
    if arguments.is_static {
        static_programs(true)?;
        pack.args(["--target", &target()]);
    } else {
        let mut cargo = cargo("build");
        cargo.args(["--quiet", "--release"]);
        shell::run(cargo.args(PROGRAMS.map(|program| format!("--package={program}"))))?;
    }
    shell::run(&mut pack)
}

/// Builds the package for a server. Returns its path.
pub(crate) fn built() -> Result<Vec<PathBuf>> {
    let directory = paths::target().join("debian");
    let before = SystemTime::now();
    run(&Arguments::default())?;
    let entries = fs::read_dir(&directory).with_context(|| directory.display().to_string())?;
    let files = entries.flatten().map(|entry| entry.path());
    let new = |path: &PathBuf| {
        path.extension().is_some_and(|end| end == "deb") && newest(path).is_some_and(|made| made >= before)
    };
    Ok(files.filter(new).collect())
}

/// Builds two revisions, unless they exist and their contents are unchanged.
fn for_tests() -> Result<()> {
    let cargo_deb = setup::deb::find_or_install()?;
    build_ebpf::run()?;
    shell::run(&mut daemon())?;
    // Each revision gets its own name, because cargo-deb removes other revisions.
    let packages = ["1", "2"]
        .map(|revision| (revision, paths::target().join("debian").join(format!("test-{revision}.deb"))));
    let oldest = packages.iter().map(|(_, file)| newest(file)).min().flatten();
    let programs = PROGRAMS.map(|name| paths::debug().join(name));
    let packed = PACKED.map(|path| paths::root().join(path)).into_iter().chain(programs);
    if oldest.is_some() && packed.map(|path| newest(&path)).max().flatten() < oldest {
        return Ok(());
    }
    shell::step("packing the daemon for the tests");
    packages
        .iter()
        .try_for_each(|(revision, file)| shell::run(pack(&cargo_deb, "dev", revision, file).arg("--fast")))
}

/// Returns the command that packs the built daemon.
fn pack(cargo_deb: &Path, profile: &str, revision: &str, output: &Path) -> Command {
    let mut pack = Command::new(cargo_deb);
    pack.current_dir(paths::root()).args(["--package", "portsentry", "--no-build", "--quiet"]);
    pack.args(["--profile", profile, "--deb-revision", revision, "--output"]).arg(output);
    pack
}

/// Returns the modification time of the newest file at `path`.
fn newest(path: &Path) -> Option<SystemTime> {
    let own = path.metadata().and_then(|file| file.modified()).ok();
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| newest(&entry.path())).fold(own, Ord::max)
}
