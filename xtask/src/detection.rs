//! `cargo xtask detection`: measures how well scans without traps are detected, on generated traffic.

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
    cargo.current_dir(paths::root());
    cargo.args(["run", "--quiet", "--release", "--package", "portsentry-detection", "--"]);
    shell::run(cargo.args(&arguments.detection))
}
