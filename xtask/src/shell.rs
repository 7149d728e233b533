//! Runs other programs, with error messages that name the command.

use std::{
    ffi::OsStr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// Prints a heading for a longer step.
pub(crate) fn step(what: &str) {
    eprintln!("xtask: {what}");
}

/// Runs `command` and shows its output immediately.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {}", words(command)))?;
    ensure!(status.success(), "{} ended with {status}", words(command));
    Ok(())
}

/// Runs `command` and returns its output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("starting {}", words(command)))?;
    let problem = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} ended with {}: {problem}", words(command), output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns the SHA-256 digest of a file.
pub(crate) fn digest(file: &Path) -> Result<String> {
    let said = output(Command::new("sha256sum").arg(file))?;
    said.split(' ').next().map(str::to_owned).context("a digest")
}

/// Whether a program's version output shows that it is this version.
pub(crate) fn is_version(command: &mut Command, version: &str) -> bool {
    output(command.arg("--version")).is_ok_and(|said| said.split_whitespace().any(|word| word == version))
}

/// Returns a command as typed in a shell.
pub(crate) fn words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Returns a program's path, searched in `PATH` and the directories of root's programs.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| {
        file.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    })
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
