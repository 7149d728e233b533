//! `cargo xtask detection`: measures how well scans without traps are detected, on generated traffic or in a capture.

use std::{ffi::OsString, process::Command};

use anyhow::Result;
use clap::Args;

use crate::{paths, shell};

/// Arguments for the harness.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Arguments for the harness, such as `--days 34` or `--help`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    detection: Vec<OsString>,
}

/// Builds the harness optimised, and runs it.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut cargo = Command::new("cargo");
    // Not in the project's directory: a capture's path may be relative.
    cargo.arg("run").arg("--manifest-path").arg(paths::root().join("Cargo.toml"));
    cargo.args(["--quiet", "--release", "--package", "portsentry-detection", "--"]);
    shell::run(cargo.args(&arguments.detection))
}
