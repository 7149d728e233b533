//! The build of the package's programs.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use crate::{arch::Target, paths, shell};

/// The programs of the package, each with the name of its crate.
pub(crate) const PROGRAMS: [&str; 3] = ["portsentry", "portsentry-notify", "portsentry-share"];

/// Returns the command that builds the programs, unoptimised. Also builds the package of the tests, so that cargo
/// uses the same features of the dependencies for both.
pub(crate) fn daemon(target: Target) -> Command {
    let mut cargo = cargo("build");
    target.aim(&mut cargo);
    cargo.args(["--quiet", "--package", "portsentry-tests"]);
    for program in PROGRAMS {
        cargo.args(["--package", program, "--bin", program]);
    }
    cargo
}

/// Builds the programs without shared libraries: with the C library of Debian, of which they use neither plug-ins (NSS
/// modules other than files and DNS) nor locales. Returns their directory.
pub(crate) fn static_programs(target: Target, is_optimised: bool) -> Result<PathBuf> {
    let name = target.name();
    shell::step("building the static daemon and notifier (minutes the first time)");
    let mut cargo = cargo("build");
    target.link(&mut cargo);
    let flags = target.variable("RUSTFLAGS");
    cargo.env(flags, "-C target-feature=+crt-static").args(["--quiet", "--target", &name]);
    cargo.args(PROGRAMS.map(|program| format!("--package={program}")));
    cargo.args(is_optimised.then_some("--release"));
    shell::run(&mut cargo)?;
    Ok(paths::target().join(name).join(if is_optimised { "release" } else { "debug" }))
}

pub(crate) fn cargo(verb: &str) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(paths::root()).arg(verb);
    command
}
