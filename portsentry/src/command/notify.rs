//! `portsentry notify`: executes `portsentry-notify`, a program of its own, so that this one never holds a TLS or HTTP client.

use std::{env, os::unix::process::CommandExt, path::PathBuf, process::Command};

use crate::{cli::Notify, exit::Exit};

const PROGRAM: &str = "portsentry-notify";

/// Executes the program beside this one, or the one in the search path, with the same arguments.
pub(super) fn run(arguments: &Notify) -> Exit {
    let beside = env::current_exe().ok().map(|own| own.with_file_name(PROGRAM)).filter(|path| path.exists());
    let program = beside.unwrap_or_else(|| PathBuf::from(PROGRAM));
    let mut command = Command::new(&program);
    command.arg("--file").arg(&arguments.file);
    if arguments.check {
        command.arg("--check");
    }
    if arguments.fetch {
        command.arg("--fetch");
    }
    if let Some(channel) = &arguments.test {
        command.arg("--test").args(Some(channel).filter(|channel| !channel.is_empty()));
    }
    let error = command.exec();
    eprintln!("portsentry: {} can't be executed: {error}", program.display());
    Exit::Failure
}
