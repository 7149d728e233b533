//! Installs programs from crates.io.

use std::process::Command;

use anyhow::Result;

use crate::{paths, shell};

/// Builds a version of `package` into the tools directory, unoptimised, because optimising would take longer than
/// all uses of the tool.
pub(super) fn install(package: &str, version: &str) -> Result<()> {
    shell::step(&format!("building {package} {version} (a minute or two)"));
    let mut cargo = Command::new("cargo");
    cargo
        .args([
            "install",
            "--quiet",
            "--debug",
            package,
            "--version",
            version,
            "--locked",
            "--force",
            "--root",
        ])
        .arg(paths::tools())
        .current_dir(paths::root())
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
        .env_remove("CARGO_TARGET_DIR");
    shell::run(&mut cargo)
}
