//! `portsentry down`: stops the daemon, and removes everything from the kernel and from `hosts.deny`. The blocked
//! file stays: the next start restores its blocks, in `hosts.deny`, too.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Serialize;

use super::{observed, options, show};
use crate::{
    cli::{Cli, Down},
    exit::Exit,
    kernel::{self, Observer, Pins, Removed},
    sink::Files,
};

/// Interval between checks whether the daemon has ended.
const PAUSE: Duration = Duration::from_millis(50);

/// Takes portsentry down, and prints the number of removed pins.
pub(super) fn run(cli: &Cli, down: Down) -> Exit {
    let config = options::config(cli);
    let directory = config.pin_path.clone();
    let ended = match end(&directory, Duration::from_secs(down.patience)) {
        Ok(ended) => ended,
        Err(problem) => {
            eprintln!("portsentry: {problem}; nothing was removed");
            return Exit::Failure;
        }
    };
    let removal = remove(&directory);
    let mut files = Files::new(&config, cli.modes());
    // Errors in other lines of the blocked file don't matter here.
    let (held, _) = files.read();
    files.allow_all_but(|_| false);
    let problems = files.allow_at_once(&held.unwrap_or_default());
    problems.iter().for_each(|problem| eprintln!("portsentry: {problem}"));
    let removed = removal.as_ref().copied().unwrap_or_default();
    let done = Done { ended: &ended, pins: &directory, removed };
    let shown = show::print(&if down.json { observed::json(&done) } else { done.describe(removal.is_ok()) });
    removal.map_or_else(|error| observed::failure(&error), |_| shown)
}

/// The result, also for programs.
#[derive(Serialize)]
struct Done<'a> {
    /// Processes of the daemon that ended.
    ended: &'a [i32],
    /// The directory of the pins.
    pins: &'a Path,
    /// `None` if there are and were no pins.
    removed: Option<Removed>,
}

/// Ends every process that holds the lock, one after the other, because a standby process takes the place of the
/// ended one.
fn end(directory: &Path, patience: Duration) -> Result<Vec<i32>, String> {
    let deadline = Instant::now() + patience;
    let mut ended: Vec<i32> = Vec::new();
    // If the directory can't be read, its removal reports the error.
    while let Some(process) = holder(directory) {
        if ended.last() != Some(&process) {
            kill(Pid::from_raw(process), Signal::SIGTERM)
                .map_err(|errno| format!("stopping the daemon (process {process}): {errno}"))?;
            ended.push(process);
        }
        if Instant::now() >= deadline {
            return Err(format!("the daemon (process {process}) was told to stop and has not: see its log"));
        }
        thread::sleep(PAUSE);
    }
    Ok(ended)
}

/// Returns a process that holds the maps, or one on standby for a mode.
fn holder(directory: &Path) -> Option<i32> {
    Observer::locked_by(directory).or_else(|| standbys(directory).next())
}

/// Returns the processes on standby for a mode, and the owner of the maps.
pub(super) fn standbys(directory: &Path) -> impl Iterator<Item = i32> + use<> {
    let watchers = fs::read_dir(directory.join("watchers")).into_iter().flatten();
    watchers.filter_map(|entry| Observer::locked_by(&entry.ok()?.path()))
}

fn remove(directory: &Path) -> Result<Option<Removed>, kernel::Error> {
    // Opening it would create the directory.
    if !directory.exists() {
        return Ok(None);
    }
    Pins::open(directory)?.remove_all().map(Some)
}

impl Done<'_> {
    /// Describes the result in words; mentions the pins only if their state `is_known`.
    fn describe(&self, is_known: bool) -> String {
        let ended = self.ended.iter().map(|process| format!("the daemon (process {process}) has stopped\n"));
        let ended: String = ended.collect();
        if is_known { ended + &self.describe_pins() } else { ended }
    }

    fn describe_pins(&self) -> String {
        let pins = self.pins.display();
        let Some(Removed { links, maps }) = self.removed else {
            return format!("nothing is pinned in {pins}\n");
        };
        let interfaces = match links {
            0 => "no interface to detach from".into(),
            1 => "detached from one interface".into(),
            more => format!("detached from {more} interfaces"),
        };
        format!("{interfaces}; removed {maps} maps and {pins}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_was_there() {
        let said = |removed| Done { ended: &[], pins: Path::new("/p"), removed }.describe(true);
        assert_eq!(said(None), "nothing is pinned in /p\n");
        for (links, expected) in [
            (0, "no interface to detach"),
            (1, "from one interface;"),
            (2, "from 2 interfaces; removed 3 maps"),
        ] {
            let said = said(Some(Removed { links, maps: 3 }));
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn programs_are_told_the_same() {
        let removed = Some(Removed { links: 1, maps: 34 });
        let done = serde_json::to_value(Done { ended: &[7], pins: Path::new("/p"), removed }).unwrap();
        let expected = serde_json::json!({"ended": [7], "pins": "/p", "removed": {"links": 1, "maps": 34}});
        assert_eq!(done, expected);
    }

    #[test]
    fn nothing_is_made_where_nothing_is() {
        let files = tempfile::tempdir().unwrap();
        let missing = files.path().join("missing");
        assert_eq!(end(&missing, Duration::ZERO), Ok(Vec::new()));
        assert!(matches!(remove(&missing), Ok(None)));
        assert!(!missing.exists());
    }
}
