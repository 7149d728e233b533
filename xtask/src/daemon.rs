//! The build of the daemon and the notifier for the tests.

use std::{env::consts::ARCH, path::PathBuf, process::Command};

use anyhow::Result;

use crate::{paths, shell};

/// The programs of the package, each with the name of its crate.
pub(crate) const PROGRAMS: [&str; 3] = ["portsentry", "portsentry-notify", "portsentry-share"];

/// Returns the command that builds the daemon and the notifier, unoptimised. Also builds the package of the tests, so that cargo
/// uses the same features of the dependencies for both.
pub(crate) fn daemon() -> Command {
    let mut cargo = cargo("build");
    cargo.args(["--quiet", "--package", "portsentry-tests"]);
    for program in PROGRAMS {
        cargo.args(["--package", program, "--bin", program]);
    }
    cargo
}

/// Returns this machine's target. Named on the command line, it has a directory of its own, and flags that don't apply to build
/// scripts.
pub(crate) fn target() -> String {
    format!("{ARCH}-unknown-linux-gnu")
}

/// Builds both programs without shared libraries: with the C library of this machine, of which they use neither plug-ins (NSS
/// modules other than files and DNS) nor locales. Returns their directory.
pub(crate) fn static_programs(is_optimised: bool) -> Result<PathBuf> {
    let target = target();
    shell::step("building the static daemon and notifier (minutes the first time)");
    let mut cargo = cargo("build");
    let flags = format!("CARGO_TARGET_{}_RUSTFLAGS", target.to_uppercase().replace('-', "_"));
    cargo.env(flags, "-C target-feature=+crt-static").args(["--quiet", "--target", &target]);
    cargo.args(PROGRAMS.map(|program| format!("--package={program}")));
    cargo.args(is_optimised.then_some("--release"));
    shell::run(&mut cargo)?;
    Ok(paths::target().join(target).join(if is_optimised { "release" } else { "debug" }))
}

pub(crate) fn cargo(verb: &str) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(paths::root()).arg(verb);
    command
}
