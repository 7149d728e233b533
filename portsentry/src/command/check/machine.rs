//! What a valid configuration lacks on this machine: commands, interfaces, users, groups, bpffs.

use std::{env, os::unix::fs::PermissionsExt, path::Path};

use nix::{
    sys::statfs::{BPF_FS_MAGIC, statfs},
    unistd::{Group, User},
};

use crate::{
    config::{Command, Config},
    host,
    policy::interfaces::{choose, described, missing},
};

/// Where the service looks for commands (systemd.exec(5)).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Returns the warnings, one line each.
pub(super) fn lacks(config: &Config) -> Vec<String> {
    let mut lacks = commands(config);
    lacks.extend(accounts(config));
    lacks.extend(pins(&config.pin_path));
    match host::Observer::connect().and_then(|mut observer| observer.interfaces()) {
        Ok(links) => {
            let names = missing(&config.interfaces, &links);
            lacks.extend(
                names.map(|name| format!("interface {name} does not exist; it is watched once it does")),
            );
            if !choose(&config.interfaces, &links).values().any(Result::is_ok) {
                lacks.push("no interface of this machine is watched: set INTERFACES".into());
            }
        }
        Err(error) => lacks.push(format!("this machine's interfaces can't be read: {error}")),
    }
    lacks
}

/// Returns which of this machine's interfaces are watched, and why the others are not, one reason a line.
pub(super) fn interfaces(config: &Config) -> Vec<String> {
    let read = host::Observer::connect().and_then(|mut observer| observer.interfaces());
    let (watched, left_out) = described(&config.interfaces, &read.unwrap_or_default());
    let watched = if watched.is_empty() { "none".into() } else { watched.join(", ") };
    let left_out =
        left_out.into_iter().map(|(reason, names)| format!("not watched: {} ({reason})", names.join(", ")));
    std::iter::once(format!("watched now: {watched}")).chain(left_out).collect()
}

fn commands(config: &Config) -> Vec<String> {
    let path = env::var("PATH").unwrap_or_else(|_| PATH.into());
    let lacks = |(key, command): (&str, &Option<Command>)| {
        let program = command.as_ref()?.program()?;
        let found = if program.contains('/') {
            is_executable(Path::new(program))
        } else {
            env::split_paths(&path).any(|directory| is_executable(&directory.join(program)))
        };
        (!found).then(|| format!("{key}: there is no program {program}"))
    };
    [
        ("KILL_ROUTE", &config.kill_route),
        ("KILL_RUN_CMD", &config.kill_run_cmd),
        ("KILL_RUN_CMD_LIFT", &config.kill_run_cmd_lift),
    ]
    .into_iter()
    .filter_map(lacks)
    .collect()
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn accounts(config: &Config) -> Vec<String> {
    let user = config.run_as.as_deref().filter(|name| !matches!(User::from_name(name), Ok(Some(_))));
    let group = config.control_group.as_deref();
    let group =
        group.filter(|name| name.parse::<u32>().is_err() && !matches!(Group::from_name(name), Ok(Some(_))));
    let user = user.map(|name| format!("RUN_AS: there is no user {name}; the daemon won't start"));
    let group =
        group.map(|name| format!("CONTROL_GROUP: there is no group {name}; there is no control socket then"));
    user.into_iter().chain(group).collect()
}

/// The directory is made at start, so its nearest existing parent is checked.
fn pins(directory: &Path) -> Option<String> {
    let nearest = directory.ancestors().find_map(|path| statfs(path).ok());
    let is_bpffs = nearest.is_some_and(|found| found.filesystem_type() == BPF_FS_MAGIC);
    (!is_bpffs).then(|| {
        format!(
            "PIN_PATH {} is not on bpffs; the daemon won't start: mount -t bpf bpf /sys/fs/bpf",
            directory.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        for (text, expected) in [
            (
                "KILL_RUN_CMD=\"/no/such/program $TARGET$\"",
                "KILL_RUN_CMD: there is no program /no/such/program",
            ),
            (
                "KILL_ROUTE=\"no-such-program add $TARGET$\"",
                "KILL_ROUTE: there is no program no-such-program",
            ),
            (
                "KILL_RUN_CMD=\"/no/such/program $TARGET$ | cat\"",
                "KILL_RUN_CMD: there is no program /no/such/program",
            ),
            (
                "KILL_RUN_CMD_LIFT=\"/etc/passwd $TARGET$\"",
                "KILL_RUN_CMD_LIFT: there is no program /etc/passwd",
            ),
        ] {
            assert_eq!(commands(&of(text)), [expected], "{text}");
        }
        for text in ["KILL_RUN_CMD=\"/bin/sh $TARGET$\"", "KILL_ROUTE=\"sh $TARGET$\"", ""] {
            assert_eq!(commands(&of(text)), [""; 0], "{text}");
        }
        assert!(accounts(&of("RUN_AS=\"no-such-user\""))[0].contains("there is no user no-such-user"));
        assert!(
            accounts(&of("CONTROL_GROUP=\"no-such-group\""))[0].contains("there is no group no-such-group")
        );
        assert_eq!(accounts(&of("RUN_AS=\"root\"\nCONTROL_GROUP=\"4242\"")), [""; 0]);
        assert!(pins(Path::new("/tmp/pins")).is_some_and(|lack| lack.contains("is not on bpffs")));
    }

    fn of(text: &str) -> Config {
        Config::parse(text, "test").unwrap_or_else(|report| panic!("{report}")).0
    }
}
