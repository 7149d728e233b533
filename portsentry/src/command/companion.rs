//! `portsentry notify` and `portsentry share`: execute programs of their own, so that this one never holds a TLS or HTTP client.

use std::{env, ffi::OsString, os::unix::process::CommandExt, path::PathBuf, process::Command};

use crate::{
    cli::{Notify, Share},
    exit::Exit,
};

/// Executes `portsentry-notify` with the same arguments.
pub(super) fn notify(arguments: &Notify) -> Exit {
    let mut words: Vec<OsString> = vec!["--file".into(), arguments.file.clone().into()];
    if arguments.check {
        words.push("--check".into());
    }
    if let Some(channel) = &arguments.test {
        words.push("--test".into());
        words.extend(Some(channel).filter(|channel| !channel.is_empty()).map(OsString::from));
    }
    execute("portsentry-notify", words)
}

/// Executes `portsentry-share` with the same arguments.
pub(super) fn share(arguments: &Share) -> Exit {
    execute("portsentry-share", arguments.arguments())
}

/// Executes the program beside this one, or the one in the search path.
fn execute(name: &str, arguments: Vec<OsString>) -> Exit {
    let beside = env::current_exe().ok().map(|own| own.with_file_name(name)).filter(|path| path.exists());
    let program = beside.unwrap_or_else(|| PathBuf::from(name));
    let error = Command::new(&program).args(arguments).exec();
    eprintln!("portsentry: {} can't be executed: {error}", program.display());
    Exit::Failure
}
