//! Reads state in this process, or asks the running daemon if this user may not read it.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use nix::unistd::{Gid, Group};
use serde::de::DeserializeOwned;

use super::{observed, table};
use crate::{
    config::Config,
    control::{Answer, Code, Refusal, Request, client},
    exit::Exit,
    inspect::{error::Error, select::Selection},
};

/// Maximum time during which a request that the daemon has no room for is repeated.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause before it is repeated.
const PAUSE: Duration = Duration::from_millis(50);

/// Returns what `read` returns, or, if this user may not read it, the daemon's answer to `request`. Prints errors.
pub(super) fn look<T: DeserializeOwned>(
    config: &Config,
    read: impl FnOnce() -> Result<T, Error>,
    request: &Request,
) -> Result<T, Exit> {
    try_look(config, read, request).map_err(|error| observed::unreadable(&error))
}

/// Like [`look`], but returns errors.
pub(super) fn try_look<T: DeserializeOwned>(
    config: &Config,
    read: impl FnOnce() -> Result<T, Error>,
    request: &Request,
) -> Result<T, Error> {
    match read() {
        Err(error) if error.is_denied() => ask(config, request).map_err(|problem| error.and(problem)),
        read => read,
    }
}

/// Asks the daemon. Returns the reason why it doesn't answer.
pub(super) fn ask<T: DeserializeOwned>(config: &Config, request: &Request) -> Result<T, String> {
    let Some(socket) = &config.control_socket else {
        return Err("CONTROL_SOCKET is off, so that no other user can ask the daemon".into());
    };
    let answer = match patiently(socket, request) {
        None => return Err(format!("no daemon answers at {}", socket.display())),
        Some(Err(refusal)) => return Err(refused(socket, &refusal)),
        Some(Ok(answer)) => answer,
    };
    serde_json::from_value(answer)
        .map_err(|error| format!("the daemon's answer can't be understood: {error}"))
}

/// Asks again while the daemon is too busy.
pub(super) fn patiently(socket: &Path, request: &Request) -> Option<Answer> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match client::ask(socket, request) {
            Some(Err(Refusal { code: Code::Busy, .. })) if Instant::now() < deadline => thread::sleep(PAUSE),
            answer => return answer,
        }
    }
}

/// Returns the reason for a refusal. If the user lacks the right, names the setting.
pub(super) fn refused(socket: &Path, refusal: &Refusal) -> String {
    match refusal.code {
        Code::Forbidden => forbidden(socket, refusal),
        _ => format!("the daemon refuses: {}", table::plain(&refusal.message)),
    }
}

/// Names the group that may ask, and its setting.
fn forbidden(socket: &Path, refusal: &Refusal) -> String {
    let group = fs::metadata(socket).ok().filter(|found| found.mode() & 0o006 == 0).map(|found| found.gid());
    match group {
        Some(group) => {
            let name = Group::from_gid(Gid::from_raw(group)).ok().flatten();
            let name = name.map_or_else(|| group.to_string(), |group| group.name);
            format!("the daemon answers only root and members of the group {name} (CONTROL_GROUP)")
        }
        None => table::plain(&refusal.message),
    }
}

/// Reports the number of sources that the daemon left out, on standard error.
pub(super) fn tell_left_out(selection: &Selection, shown: usize, left_out: usize) {
    if left_out > 0 && selection.limit.is_none_or(|limit| limit > shown) {
        eprintln!("portsentry: {left_out} more; root can list all, --network and --state narrow the list");
    }
}
