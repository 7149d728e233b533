//! The finding on the notifier.

use std::{fs, path::Path};

use nix::unistd::Group;
use procfs::process::Process;

use super::finding::Finding;
use crate::config::Config;

/// The notifier's name.
const PROGRAM: &str = "portsentry-notify";

/// A process of the notifier: its number, and its user and groups.
struct Notifier {
    process: i32,
    user: u32,
    groups: Vec<u32>,
}

/// Returns the finding on the notifier, if `notify.conf` beside the configuration file has channels.
pub(super) fn finding(config_file: &Path, config: &Config) -> Option<Finding> {
    let file = config_file.with_file_name("notify.conf");
    let channels = channels(&fs::read_to_string(&file).unwrap_or_default());
    (channels > 0).then(|| judge(&file, channels, find().as_ref(), config, number))
}

fn judge(
    file: &Path,
    channels: usize,
    notifier: Option<&Notifier>,
    config: &Config,
    number: impl Fn(&str) -> Option<u32>,
) -> Finding {
    let count = if channels == 1 { "1 channel".into() } else { format!("{channels} channels") };
    let Some(Notifier { process, user, groups }) = notifier else {
        return Finding::warning(
            "notify",
            format!("{} has {count}, but {PROGRAM} does not run", file.display()),
            format!("systemctl enable --now {PROGRAM}"),
        );
    };
    if config.control_socket.is_none() {
        return Finding::warning(
            "notify",
            format!("{PROGRAM} runs, but CONTROL_SOCKET is off, so it gets no events"),
            "set CONTROL_SOCKET",
        );
    }
    let group = config.control_group.as_deref();
    if *user != 0 && !group.and_then(number).is_some_and(|group| groups.contains(&group)) {
        return Finding::warning(
            "notify",
            format!("{PROGRAM} runs, but its user may not follow events"),
            format!("CONTROL_GROUP=\"{PROGRAM}\" in portsentry.conf, then `systemctl restart portsentry`"),
        );
    }
    Finding::ok("notify", format!("{PROGRAM} runs (process {process}) and may follow events; {count}"))
}

/// Returns the number of sections in the text of `notify.conf`.
fn channels(text: &str) -> usize {
    text.lines().map(str::trim).filter(|line| line.starts_with('[') && line.ends_with(']')).count()
}

/// Returns a process of the notifier.
fn find() -> Option<Notifier> {
    let processes = procfs::process::all_processes().ok()?;
    processes.flatten().find_map(|process| is_notifier(&process).then(|| of(&process)).flatten())
}

fn is_notifier(process: &Process) -> bool {
    let words = process.cmdline().unwrap_or_default();
    words.first().is_some_and(|program| Path::new(program).ends_with(PROGRAM))
}

fn of(process: &Process) -> Option<Notifier> {
    let status = process.status().ok()?;
    let groups = status.groups.iter().copied().chain([status.egid]).collect();
    Some(Notifier { process: process.pid, user: status.euid, groups })
}

/// Returns the number of a group, given its name or number.
fn number(group: &str) -> Option<u32> {
    let named = || Group::from_name(group).ok().flatten().map(|group| group.gid.as_raw());
    group.parse().ok().or_else(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notifier_that_gets_no_events_is_a_warning() {
        let notifier = |user| Notifier { process: 7, user, groups: vec![55] };
        let (with_group, other) = ("CONTROL_GROUP=\"n\"", "CONTROL_GROUP=\"other\"");
        for (notifier, settings, level, words) in [
            (None, with_group, "warning", "/n has 2 channels, but portsentry-notify does not run"),
            (Some(notifier(43)), with_group, "ok", "runs (process 7) and may follow events; 2 channels"),
            (Some(notifier(43)), other, "warning", "its user may not follow events"),
            (Some(notifier(43)), "", "warning", "its user may not follow events"),
            (Some(notifier(0)), "", "ok", "may follow events"),
            (Some(notifier(0)), "CONTROL_SOCKET=\"off\"", "warning", "CONTROL_SOCKET is off"),
        ] {
            let (config, _) = Config::parse(settings, "test").unwrap();
            let number = |name: &str| (name == "n").then_some(55);
            let found = judge(Path::new("/n"), 2, notifier.as_ref(), &config, number);
            assert!(found.level.name() == level && found.what.contains(words), "{settings}: {found:?}");
        }
        assert_eq!(channels("A=\"1\"\n[a]\n# [b]\n [c] \nX=\"[d]\"\n"), 2);
    }
}
