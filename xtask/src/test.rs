//! `cargo xtask test`: every test. It must not leave any out.

use std::{ffi::OsString, process::Command};

use anyhow::Result;
use clap::Args;

use crate::{build_ebpf, package, paths, setup, shell};

/// What is passed on.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Arguments for `cargo test`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    cargo: Vec<OsString>,
}

/// Sets up, builds, and runs the tests of all packages.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::scan()?;
    build_ebpf::run()?;
    let cargo = |verb: &str| {
        let mut command = Command::new("cargo");
        command.current_dir(paths::root()).arg(verb);
        command
    };
    shell::step("building the daemon and the tests (two minutes the first time)");
    shell::run(cargo("build").args(["--quiet", "--package", "portsentry"]))?;
    package::run(&package::FOR_TESTS)?;
    // A machine of the tests' own installs it.
    setup::fetch("fail2ban", &paths::target().join("debian/fail2ban.deb"))?;
    shell::run(cargo("test").arg("--no-fail-fast").args(&arguments.cargo))
}
