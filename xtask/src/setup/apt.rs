//! Debian packages that are fetched and unpacked, but not installed, so that no service starts.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{arch::Target, paths, shell};

/// Unpacks a package into `directory`, unless that exists.
pub(crate) fn unpack(package: &str, target: Target, directory: &Path) -> Result<()> {
    if directory.exists() {
        return Ok(());
    }
    let fetched = tempfile::tempdir().context("a directory for a package")?;
    let file = fetched.path().join("package.deb");
    fetch(package, target, &file)?;
    fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    shell::run(Command::new("dpkg").arg("-x").arg(file).arg(directory))
}

/// Fetches a package as `file`, unless that exists.
pub(crate) fn fetch(package: &str, target: Target, file: &Path) -> Result<()> {
    if file.exists() {
        return Ok(());
    }
    shell::step(&format!("fetching {package} for {}", target.debian()));
    let fetched = tempfile::tempdir().context("a directory for a package")?;
    // apt drops its privileges to fetch, but the directory belongs to root.
    fs::set_permissions(fetched.path(), fs::Permissions::from_mode(0o777)).context("a directory's mode")?;
    let apt = |words: &[&str]| {
        let mut apt = apt("apt-get", target)?;
        shell::output(apt.current_dir(fetched.path()).arg("-qq").args(words))
    };
    let download = ["download", package];
    // An outdated package list names versions that no longer exist.
    apt(&download).or_else(|_| apt(&["update"]).and_then(|_| apt(&download)))?;
    let found = fs::read_dir(fetched.path())?.next().context("a package")??.path();
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    }
    fs::copy(&found, file).map(drop).with_context(|| file.display().to_string())
}

/// Returns the names of packages that match a regular expression.
pub(crate) fn search(names: &str, target: Target) -> Result<Vec<String>> {
    let found = shell::output(apt("apt-cache", target)?.args(["search", "--names-only", names]))?;
    Ok(found.lines().filter_map(|line| line.split_whitespace().next()).map(Into::into).collect())
}

/// Returns one of apt's commands for the packages of `target`. Those of another architecture have lists of their own, so
/// that this machine's apt doesn't learn of them.
fn apt(program: &str, target: Target) -> Result<Command> {
    let mut command = Command::new(program);
    let Some(arch) = target.foreign() else { return Ok(command) };
    let name = arch.debian();
    let directory: PathBuf = paths::tools().join(format!("apt-{name}"));
    for option in ["APT::Architecture", "APT::Architectures"] {
        command.arg("-o").arg(format!("{option}={name}"));
    }
    for (option, place) in [("Dir::State", "state"), ("Dir::Cache", "cache")] {
        command.arg("-o").arg(format!("{option}={}", directory.join(place).display()));
    }
    // Nothing is installed there.
    command.args(["-o", "Dir::State::status=/dev/null"]);
    let lists = directory.join("state/lists");
    if !lists.exists() {
        for place in ["state/lists/partial", "cache/archives/partial"] {
            let place = directory.join(place);
            fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
        }
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let updated = shell::output(Command::new("apt-get").args(arguments).args(["-qq", "update"]));
        if updated.is_err() {
            // Empty lists must not pass for those of a mirror.
            let _ = fs::remove_dir_all(&directory);
        }
        updated?;
    }
    Ok(command)
}
