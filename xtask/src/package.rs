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
    arch::{Arch, Target},
    build_ebpf,
    daemon::{PROGRAMS, cargo, daemon, static_programs},
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
    /// Build for this architecture, with Debian's cross compiler
    #[arg(long)]
    arch: Option<Arch>,
}

/// Inputs of the package besides the programs: files to pack, and the package's description.
const PACKED: [&str; 5] = ["CHANGELOG.md", "docs", "etc", "pkg", "portsentry/Cargo.toml"];

/// Builds everything and packs it.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let target = Target::new(arguments.arch);
    if arguments.debug { for_tests(target) } else { build(target, arguments.is_static).map(drop) }
}

/// Builds the package for servers. Returns its path.
pub(crate) fn build(target: Target, is_static: bool) -> Result<PathBuf> {
    setup::cross(target)?;
    let cargo_deb = setup::deb::find_or_install()?;
    build_ebpf::run()?;
    // Tests compare the generated files in the tree with the code.
    gen_docs::run()?;
    shell::step("building the daemon and the notifier (a minute the first time)");
    let mut pack = pack(&cargo_deb, "release", "1", &paths::target().join("debian"));
    if is_static {
        static_programs(target, true)?;
        pack.args(["--target", &target.name()]);
    } else {
        let mut cargo = cargo("build");
        target.aim(&mut cargo);
        cargo.args(["--quiet", "--release"]);
        shell::run(cargo.args(PROGRAMS.map(|program| format!("--package={program}"))))?;
        target.aim(&mut pack);
    }
    let said = shell::output(&mut pack)?;
    let path = said.lines().last().context("cargo-deb doesn't report the package's path")?;
    println!("{path}");
    Ok(path.into())
}

/// Builds two revisions, unless they exist and their contents are unchanged.
pub(crate) fn for_tests(target: Target) -> Result<()> {
    setup::cross(target)?;
    let cargo_deb = setup::deb::find_or_install()?;
    build_ebpf::run()?;
    shell::run(&mut daemon(target))?;
    // Each revision gets its own name, because cargo-deb removes other revisions.
    let packages =
        ["1", "2"].map(|revision| (revision, for_tests_in(target).join(format!("test-{revision}.deb"))));
    let oldest = packages.iter().map(|(_, file)| newest(file)).min().flatten();
    let programs = PROGRAMS.map(|name| target.directory("debug").join(name));
    let packed = PACKED.map(|path| paths::root().join(path)).into_iter().chain(programs);
    if oldest.is_some() && packed.map(|path| newest(&path)).max().flatten() < oldest {
        return Ok(());
    }
    shell::step("packing the daemon for the tests");
    packages.iter().try_for_each(|(revision, file)| {
        let mut pack = pack(&cargo_deb, "dev", revision, file);
        target.aim(&mut pack);
        shell::run(pack.arg("--fast"))
    })
}

/// Returns the directory of the packages for tests.
pub(crate) fn for_tests_in(target: Target) -> PathBuf {
    let directory = paths::target().join("debian");
    target.foreign().map_or_else(|| directory.clone(), |arch| directory.join(arch.debian()))
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
