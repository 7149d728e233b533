//! `cargo xtask package`: the Debian package. It must not install it.

use std::{path::Path, process::Command};

use anyhow::{Context, Result};
use clap::Args;

use crate::{build_ebpf, papers, paths, setup, shell};

/// Where `rustup` has a standard library that needs no other at run time.
const STATIC: &str = "x86_64-unknown-linux-musl";

/// What to build.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Arguments {
    /// Pack an unoptimised build, as two revisions of a version: what the tests install and upgrade to
    #[arg(long)]
    debug: bool,
    /// Pack a program that needs no libraries (musl)
    #[arg(long = "static", conflicts_with = "debug")]
    is_static: bool,
}

/// For the tests.
pub(crate) const FOR_TESTS: Arguments = Arguments { debug: true, is_static: false };

/// Builds everything and packs it.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let cargo_deb = setup::deb::find_or_install()?;
    build_ebpf::run()?;
    if !arguments.debug {
        // The tests hold those in the tree against the code.
        papers::run()?;
    }
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
    let mut options = vec!["--package", "portsentry", "--no-build", "--quiet", "--profile", profile];
    if arguments.is_static {
        shell::run(Command::new("rustup").args(["target", "add", STATIC]))
            .context("the static program needs rustup's standard library for musl")?;
        cargo.args(["--target", STATIC]);
        options.extend(["--target", STATIC]);
    }
    shell::run(&mut cargo)?;
    let folder = paths::target().join("debian");
    let pack = |revision: &str, output: &Path| {
        let mut pack = Command::new(&cargo_deb);
        pack.current_dir(paths::root()).args(&options).args(["--deb-revision", revision, "--output"]);
        shell::run(pack.arg(output))
    };
    if !arguments.debug {
        return pack("1", &folder);
    }
    // By names of their own: cargo-deb removes other revisions.
    ["1", "2"].iter().try_for_each(|revision| pack(revision, &folder.join(format!("test-{revision}.deb"))))
}
