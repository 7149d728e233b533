//! `cargo xtask bench`: measures the cost of a packet, compared with other programs.

use std::{ffi::OsString, process::Command};

use anyhow::Result;
use clap::Args;

use crate::{build, paths, setup, shell};

/// Arguments for the bench.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Arguments for the bench, such as `--blocked 100000` or `--help`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    bench: Vec<OsString>,
}

/// Sets up the programs to compare with, builds everything optimised, and runs the bench.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    // These need neither root nor other programs.
    let measures =
        !arguments.bench.iter().any(|word| word == "--paths" || word == "--compare" || word == "--help");
    if measures {
        setup::bench()?;
    }
    build::run()?;
    let mut cargo = Command::new("cargo");
    cargo.current_dir(paths::root());
    shell::step("building the bench (two minutes the first time)");
    shell::run(cargo.args(["build", "--quiet", "--release", "--package", "portsentry-bench"]))?;
    let mut bench = Command::new(paths::bench());
    bench.current_dir(paths::root()).env("PORTSENTRY_BIN", paths::daemon());
    bench.env("PORTSENTRY_CLASSIC", paths::classic().join("usr/sbin/portsentry"));
    shell::run(bench.args(&arguments.bench))
}
