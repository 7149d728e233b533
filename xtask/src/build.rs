//! `cargo xtask build`: the kernel program and the daemon, optimised.

use std::process::Command;

use anyhow::Result;

use crate::{build_ebpf, paths, shell};

/// Builds both.
pub(crate) fn run() -> Result<()> {
    build_ebpf::run()?;
    shell::step("building the daemon (a minute the first time)");
    release("portsentry")
}

/// Builds the companion of a fleet.
pub(crate) fn companion() -> Result<()> {
    shell::step("building the companion (a minute the first time)");
    release("portsentry-share")
}

fn release(package: &str) -> Result<()> {
    let mut cargo = Command::new("cargo");
    shell::run(cargo.current_dir(paths::root()).args(["build", "--quiet", "--release", "--package", package]))
}
