//! `cargo xtask run -- ...`: runs the daemon in the foreground.

use std::{ffi::OsString, os::unix::process::CommandExt, process::Command};

use anyhow::{Result, bail};
use clap::Args;

use crate::{build, paths, setup, shell};

/// Arguments for the daemon.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The daemon's own arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    daemon: Vec<OsString>,
}

/// Builds the daemon, and replaces this process with it.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    build::run()?;
    let mut command = match (shell::is_root(), shell::find("sudo")) {
        (true, _) => {
            setup::bpffs()?;
            Command::new(paths::daemon())
        }
        (false, Some(sudo)) => {
            let mut command = Command::new(sudo);
            command.arg(paths::daemon());
            command
        }
        (false, None) => bail!("portsentry runs as root, and there is no sudo: become root first"),
    };
    let error = command.args(&arguments.daemon).exec();
    bail!("starting {}: {error}", shell::words(&command))
}
