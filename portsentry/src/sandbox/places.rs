//! The paths to which the daemon writes, according to its configuration.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, lchown},
    path::{Path, PathBuf},
};

use super::{Error, privileges::Account};
use crate::{
    config::{Config, JsonLog},
    kernel::mounted_in,
};

/// Returns the directories to which the daemon writes. Files are replaced atomically, so that each needs its whole
/// directory.
pub(super) fn written(config: &Config) -> Vec<PathBuf> {
    let directories = files(config).iter().flat_map(|file| directories(file)).collect::<BTreeSet<_>>();
    directories.into_iter().chain([existing(&config.pin_path)]).collect()
}

/// Returns the directory that contains the mount point of bpffs, in case it is mounted again.
pub(super) fn remounted(config: &Config) -> Option<PathBuf> {
    mounted_in(&existing(&config.pin_path)).map(Path::to_path_buf)
}

/// Returns the owners of the files that are written, and of their directories.
pub(super) fn owners(config: &Config) -> BTreeSet<u32> {
    let files = files(config);
    let places = files.iter().flat_map(|file| directories(file));
    let there = files.iter().filter_map(|file| fs::canonicalize(file).ok());
    places.chain(there).filter_map(|path| Some(fs::metadata(path).ok()?.uid())).collect()
}

/// Gives the pins in `directory` to `account`. Only the owner can enter it.
pub(super) fn own(directory: &Path, account: Account) -> Result<(), Error> {
    let failed = |source| Error::System { what: "taking over the pins", source };
    give(directory, account).map_err(failed)
}

/// Creates the control socket's directory for `account` if it is missing. An empty directory is given to `account`.
pub(super) fn make_room(socket: &Path, account: Account) -> Result<(), Error> {
    let Some(directory) = socket.parent() else { return Ok(()) };
    let made = || -> io::Result<()> {
        if !directory.exists() {
            DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
        }
        let is_root = fs::symlink_metadata(directory)?.uid() == 0;
        if is_root && account.user != 0 && fs::read_dir(directory)?.next().is_none() {
            lchown(directory, Some(account.user), Some(account.group))?;
        }
        Ok(())
    };
    made().map_err(|source| Error::System { what: "making the directory of CONTROL_SOCKET", source })
}

fn give(path: &Path, account: Account) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.uid() != account.user {
        lchown(path, Some(account.user), Some(account.group))?;
    }
    if metadata.is_dir() {
        fs::read_dir(path)?.try_for_each(|entry| give(&entry?.path(), account))?;
    }
    Ok(())
}

/// Returns all files that are written.
fn files(config: &Config) -> Vec<PathBuf> {
    let deny = config.kill_hosts_deny.as_ref().map(|_| config.wrapper_hosts_deny.as_path());
    let events = match config.targets.json_log() {
        Some(JsonLog::File(path)) => Some(path),
        _ => None,
    };
    let sockets = [config.control_socket.as_deref(), config.share_socket.as_deref()];
    let others = [config.evidence_file.as_deref(), deny].into_iter().chain(sockets);
    let others = others.flatten();
    let files = [config.history_file.as_path(), &config.blocked_file].into_iter().chain(others);
    files.map(Path::to_path_buf).chain(events).collect()
}

/// Returns a file's directory and, if the file is a link, its target's directory.
fn directories(file: &Path) -> Vec<PathBuf> {
    let directory = |file: &Path| existing(file.parent().unwrap_or(Path::new("/")));
    let target = fs::canonicalize(file).ok().map(|target| directory(&target));
    [directory(file)].into_iter().chain(target).collect()
}

/// Returns `path` without symbolic links, as far as it exists. The rest may be created later.
fn existing(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
    path.ancestors().find_map(|at| fs::canonicalize(at).ok()).unwrap_or_else(|| "/".into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn directories_are_those_of_the_files_and_of_what_links_lead_to() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        for name in ["etc", "state", "pins", "log"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        fs::write(root.join("state/hosts.deny"), "").unwrap();
        symlink(root.join("state/hosts.deny"), root.join("etc/hosts.deny")).unwrap();
        let (with_deny, _) = Config::parse("KILL_HOSTS_DENY=\"ALL: $TARGET$\"", "test").unwrap();
        let config = Config {
            history_file: root.join("state/history"),
            blocked_file: root.join("missing/folder/blocked"),
            wrapper_hosts_deny: root.join("etc/hosts.deny"),
            pin_path: root.join("pins"),
            evidence_file: None,
            control_socket: None,
            ..Config::default()
        };
        let [etc, state, pins, log] = ["etc", "state", "pins", "log"].map(|name| root.join(name));
        assert_eq!(written(&config), [root.clone(), state.clone(), pins.clone()]);
        let config = Config { kill_hosts_deny: with_deny.kill_hosts_deny, ..config };
        assert_eq!(written(&config), [root.clone(), etc.clone(), state.clone(), pins.clone()]);
        let mut config = config;
        config.targets.set("JSON_LOG", log.join("events.json").display());
        assert_eq!(written(&config), [root.clone(), etc.clone(), log.clone(), state.clone(), pins.clone()]);
        let [evidence_file, control_socket] =
            ["evidence", "run"].map(|name| Some(root.join(name).join("file")));
        let run = root.join("run");
        make_room(control_socket.as_deref().unwrap(), Account::find(None).unwrap()).unwrap();
        let config = Config { evidence_file, control_socket, ..config };
        assert_eq!(written(&config), [root, etc, log, run, state, pins]);
    }
}
