//! `cargo xtask package`: the Debian package. It must not install it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use clap::Args;

use crate::{build_ebpf, papers, paths, shell};

/// The version of cargo-deb that is used.
const CARGO_DEB: &str = "3.8.0";
/// Where `rustup` has a standard library that needs no other at run time.
const STATIC: &str = "x86_64-unknown-linux-musl";

/// What to build.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Arguments {
    /// Pack an unoptimised build, which is faster to make and slower to run
    #[arg(long)]
    debug: bool,
    /// Pack a program that needs no libraries (musl)
    #[arg(long = "static", conflicts_with = "debug")]
    is_static: bool,
    /// The package's version, in place of the program's
    #[arg(long)]
    version: Option<String>,
}

/// Builds everything and packs it; the package's path.
pub(crate) fn run(arguments: &Arguments) -> Result<PathBuf> {
    let cargo_deb = cargo_deb()?;
    build_ebpf::run()?;
    papers::run()?;
    let profile = if arguments.debug { "dev" } else { "release" };
    shell::step(&format!("building the daemon ({profile}; optimised, it takes a minute the first time)"));
    let mut cargo = Command::new("cargo");
    cargo.current_dir(paths::root()).args([
        "build",
        "--quiet",
        "--package",
        "portsentry",
        "--profile",
        profile,
    ]);
    let mut pack = Command::new(cargo_deb);
    pack.current_dir(paths::root()).args(["--package", "portsentry", "--no-build", "--profile", profile]);
    if arguments.is_static {
        shell::run(Command::new("rustup").args(["target", "add", STATIC]))
            .context("the static program needs rustup's standard library for musl")?;
        cargo.args(["--target", STATIC]);
        pack.args(["--target", STATIC]);
    }
    if let Some(version) = &arguments.version {
        pack.args(["--deb-version", version]);
    }
    shell::run(&mut cargo)?;
    let package = shell::output(pack.arg("--output").arg(paths::target().join("debian")))?;
    let package = PathBuf::from(package.trim());
    println!("{}", package.display());
    Ok(package)
}

fn cargo_deb() -> Result<PathBuf> {
    let folder = paths::root().join("target/package-tools");
    let program = folder.join("bin/cargo-deb");
    if is_right(&program) {
        return Ok(program);
    }
    shell::step(&format!("building cargo-deb {CARGO_DEB} (three minutes on two cores)"));
    let install =
        ["install", "--quiet", "cargo-deb", "--version", CARGO_DEB, "--locked", "--force", "--root"];
    let mut cargo = Command::new("cargo");
    shell::run(cargo.args(install).arg(folder).current_dir(paths::root()).env_remove("CARGO_TARGET_DIR"))?;
    Ok(program)
}

fn is_right(program: &Path) -> bool {
    shell::output(Command::new(program).arg("--version")).is_ok_and(|version| version.trim() == CARGO_DEB)
}
