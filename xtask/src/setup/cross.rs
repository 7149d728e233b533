//! Debian's cross compiler, and Rust's standard library for its target.

use std::{path::Path, process::Command};

use anyhow::{Result, ensure};

use super::packages;
use crate::{arch::Target, shell};

/// Installs what is missing for building for `target`. For this machine that is nothing.
pub(crate) fn cross(target: Target) -> Result<()> {
    let Some(arch) = target.foreign() else { return Ok(()) };
    packages::install_missing_compiler(arch)?;
    if has_library(target)? {
        return Ok(());
    }
    shell::step(&format!("fetching Rust's standard library for {} with rustup", target.name()));
    if shell::find("rustup").is_some() {
        shell::run(Command::new("rustup").args(["target", "add", &target.name()]))?;
    }
    ensure!(
        has_library(target)?,
        "this toolchain has no standard library for {}: install it, as `rustup target add {}` does",
        target.name(),
        target.name()
    );
    Ok(())
}

fn has_library(target: Target) -> Result<bool> {
    let found =
        shell::output(Command::new("rustc").args(["--print", "target-libdir", "--target", &target.name()]))?;
    Ok(Path::new(found.trim()).exists())
}
