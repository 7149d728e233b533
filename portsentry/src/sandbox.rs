//! The sandbox: once started, the daemon drops capabilities, root, and write access outside the directories of its
//! files.
//!
//! Capabilities and Landlock rules belong to a thread, and its children inherit them. Therefore the sandbox is
//! entered before there are other threads.

mod error;
mod places;
mod privileges;

use std::{
    cell::OnceCell,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, AccessFs, BitFlags, PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus,
};

pub use error::Error;

use self::privileges::{Account, Privileges};
use crate::config::Config;

/// The newest Landlock version known here. Rights that the kernel lacks are skipped (`landlock(7)`).
const RIGHTS: ABI = ABI::V5;
/// Rights to pin maps and links in their directory, and to replace them.
const PINNING: [AccessFs; 4] =
    [AccessFs::MakeDir, AccessFs::MakeReg, AccessFs::RemoveFile, AccessFs::RemoveDir];
/// Target of a background process's output.
const NULL: &str = "/dev/null";

/// The directories to which this process is confined, if it is.
#[derive(Debug, Default)]
pub struct Sandbox(OnceCell<Walls>);

/// Remaining rights of a confined process.
#[derive(Debug)]
struct Walls {
    /// Writable directories, without symbolic links.
    places: Vec<PathBuf>,
    privileges: Privileges,
}

impl Sandbox {
    /// Drops the privileges that `config` doesn't need, unless that was done before. Returns a note for the
    /// administrator. The directory of the pins must exist.
    pub fn enter(&self, config: &Config) -> Result<Option<&'static str>, Error> {
        if self.0.get().is_some() || !is_wanted(config) {
            return Ok(None);
        }
        let account = Account::find(config.run_as.as_deref())?;
        places::own(&config.pin_path, account)?;
        for socket in [&config.control_socket, &config.share_socket].into_iter().flatten() {
            places::make_room(socket, account)?;
        }
        let places = places::written(config);
        let privileges = needed(account, config);
        // Landlock comes first: its only precondition is the promise never to gain privileges.
        let status = restrict(&places, places::remounted(config).as_deref())?;
        privileges.keep(account)?;
        self.0.get_or_init(|| Walls { places, privileges });
        Ok(note(&status))
    }

    /// Returns the obstacles, line by line, to applying `config` in a confined process.
    pub fn admits(&self, config: &Config) -> Result<(), Vec<String>> {
        let Some(walls) = self.0.get() else { return Ok(()) };
        let mut problems = Vec::new();
        if !is_wanted(config) {
            let what =
                if config.sandbox { "KILL_ROUTE and KILL_RUN_CMD take" } else { "SANDBOX=\"0\" takes" };
            problems.push(format!("{what} privileges that this process has dropped: restart portsentry"));
            return Err(problems);
        }
        for place in places::written(config) {
            if !walls.places.iter().any(|within| place.starts_with(within)) {
                let place = place.display();
                problems.push(format!(
                    "{place} is outside the directories that this process may write to: restart portsentry"
                ));
            }
        }
        let account = Account::find(config.run_as.as_deref()).ok();
        let needed = account.map(|account| needed(account, config));
        if !needed.is_some_and(|needed| needed.is_within(&walls.privileges)) {
            problems.push(
                "RUN_AS, PORT_BANNER, CONTROL_GROUP, SHARE_SOCKET or files of other owners take other privileges: \
                    restart portsentry"
                    .into(),
            );
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

/// Confines a command that reads texts from outside: it can write only to `directory`, execute nothing, and keeps only
/// the capabilities for files of other owners.
pub fn confine(directory: Option<&Path>) -> Result<(), Error> {
    let directory = directory.map(|path| if path == Path::new("") { Path::new(".") } else { path });
    let places: Vec<PathBuf> = directory.into_iter().map(Path::to_path_buf).collect();
    restrict(&places, None)?;
    Privileges::of_files().keep(Account::current())
}

/// Confines a program that only speaks to others: this thread and those that it starts execute no file, and write only to
/// `directory`, if it exists. Returns a note for the administrator.
pub fn seal(directory: Option<&Path>) -> Result<Option<&'static str>, Error> {
    let places = directory.filter(|path| path.is_dir()).map(Path::to_path_buf);
    restrict(places.as_slice(), None).map(|status| note(&status))
}

fn note(status: &RestrictionStatus) -> Option<&'static str> {
    let has_none = status.ruleset == RulesetStatus::NotEnforced;
    has_none.then_some("this kernel has no Landlock: only owners and modes protect files")
}

fn is_wanted(config: &Config) -> bool {
    config.sandbox && !config.runs_commands()
}

fn needed(account: Account, config: &Config) -> Privileges {
    let answers = config.port_banner.as_ref().map(|_| privileges::ANSWERING);
    // Both sockets are given to a group.
    let has_groups = config.control_group.is_some() || config.share_socket.is_some();
    let grants = has_groups.then_some(privileges::GRANTING);
    Privileges::needed(account, &places::owners(config), answers.into_iter().chain(grants))
}

/// Forbids writing outside `places`, and executing any file. Below `mounts`, pins may be created and removed, but
/// no file may be written.
fn restrict(places: &[PathBuf], mounts: Option<&Path>) -> Result<RestrictionStatus, Error> {
    let write = AccessFs::from_write(RIGHTS);
    let mut rules = Ruleset::default().handle_access(write | AccessFs::Execute)?.create()?;
    for place in places {
        rules = rules.add_rule(rule(place, write)?)?;
    }
    if let Some(mounts) = mounts {
        rules = rules.add_rule(rule(mounts, PINNING.into_iter().collect())?)?;
    }
    let file = AccessFs::from_file(RIGHTS) & write;
    Ok(rules.add_rule(rule(Path::new(NULL), file)?)?.restrict_self()?)
}

fn rule(path: &Path, access: BitFlags<AccessFs>) -> Result<PathBeneath<PathFd>, Error> {
    Ok(PathBeneath::new(PathFd::new(path)?, access))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(directory: &Path) -> Config {
        Config {
            history_file: directory.join("history"),
            blocked_file: directory.join("blocked"),
            pin_path: directory.join("pins"),
            evidence_file: None,
            control_socket: None,
            ..Config::default()
        }
    }

    fn confined(config: &Config) -> Sandbox {
        let account = Account::find(None).unwrap();
        let privileges = needed(account, config);
        Sandbox(Walls { places: places::written(config), privileges }.into())
    }

    #[test]
    fn a_confined_process_refuses_what_it_can_not_do_any_more() {
        let directory = tempfile::tempdir().unwrap();
        let before = config(directory.path());
        let (commands, _) = Config::parse("KILL_RUN_CMD=\"/bin/true\"", "test").unwrap();
        let elsewhere = directory.path().with_extension("elsewhere");
        for (after, expected) in [
            (before.clone(), None),
            (Config { history_file: directory.path().join("other"), ..before.clone() }, None),
            (Config { history_file: elsewhere.join("history"), ..before.clone() }, Some("is outside")),
            (Config { kill_run_cmd: commands.kill_run_cmd, ..before.clone() }, Some("KILL_RUN_CMD")),
            (Config { sandbox: false, ..before.clone() }, Some("SANDBOX")),
            (Config { run_as: Some("nobody at all".into()), ..before.clone() }, Some("RUN_AS")),
            (
                Config { share_socket: Some(directory.path().join("share")), ..before.clone() },
                Some("SHARE_SOCKET"),
            ),
        ] {
            let answer = confined(&before).admits(&after);
            match expected {
                None => assert_eq!(answer, Ok(())),
                Some(text) => {
                    assert!(answer.is_err_and(|problems| problems.concat().contains(text)), "{text}");
                }
            }
            assert_eq!(Sandbox::default().admits(&after), Ok(()));
        }
    }

    #[test]
    fn a_sealed_program_writes_to_its_directory_only_and_executes_no_file() {
        let [own, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let (inside, path) = (own.path().join("file"), other.path().join("file"));
        // Only this thread is confined.
        let sealed = std::thread::spawn({
            let path = path.clone();
            move || {
                let note = seal(inside.parent()).unwrap();
                std::fs::write(&inside, "").unwrap();
                let read = std::fs::read("/proc/self/status").is_ok();
                (
                    note,
                    std::fs::write(path, "").is_ok(),
                    std::process::Command::new("true").status().is_ok(),
                    read,
                )
            }
        });
        let (note, writes, executes, reads) = sealed.join().unwrap();
        let has_landlock = note.is_none();
        assert_eq!((writes, executes, reads), (!has_landlock, !has_landlock, true), "{note:?}");
        std::fs::write(path, "").unwrap();
    }

    #[test]
    fn nothing_is_given_up_where_commands_are_run() {
        let (commands, _) =
            Config::parse("KILL_ROUTE=\"/sbin/ip route add blackhole $TARGET$\"", "test").unwrap();
        let (off, _) = Config::parse("SANDBOX=\"0\"", "test").unwrap();
        for config in [commands, off] {
            let sandbox = Sandbox::default();
            assert_eq!(sandbox.enter(&config).unwrap(), None);
            assert!(sandbox.0.get().is_none());
        }
    }
}
