//! The build of the daemon and the notifier for the tests.

use std::process::Command;

use crate::paths;

/// The programs of the package, each with the name of its crate.
pub(crate) const PROGRAMS: [&str; 2] = ["portsentry", "portsentry-notify"];

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

pub(crate) fn cargo(verb: &str) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(paths::root()).arg(verb);
    command
}
