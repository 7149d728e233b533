//! `portsentry reload`: makes the daemon read its configuration again, and waits until it is in effect.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::{down, observed, options, show, table};
use crate::{
    cli::{Cli, Reload},
    config::{Config, Level},
    control::{Answer, Code, Refusal, Request, client},
    exit::Exit,
    kernel::Observer,
    systemd,
};

/// Maximum time for the start of a session that isn't announced on the control socket.
const PATIENCE: Duration = Duration::from_mins(1);
/// Interval of checks whether it has started.
const PAUSE: Duration = Duration::from_millis(100);

/// Reloads, and prints the result.
pub(super) fn run(cli: &Cli, reload: Reload) -> Exit {
    let (options, problems) = options::salvaged(cli);
    let answer = ask(&options.config, problems.clone());
    print(&answer.unwrap_or_else(|| Err(nobody(&options.config.pin_path, &problems))), reload.json)
}

/// Makes the daemon reload, and waits until the configuration is in effect. Returns `None` if no daemon runs.
/// `problems` are the errors in its files.
pub(super) fn ask(config: &Config, problems: Vec<String>) -> Option<Answer> {
    let directory = &config.pin_path;
    let socket = config.control_socket.as_deref();
    let owner = Observer::locked_by(directory);
    let answer = match socket.and_then(|socket| client::ask(socket, &Request::Reload {})) {
        Some(answer) => answer,
        // After a signal, a daemon doesn't report why it refused the reload.
        None if owner.is_some() && !problems.is_empty() => Err(Refusal {
            details: problems,
            ..Refusal::new(Code::Refused, "the new configuration is invalid; the old one stays in effect")
        }),
        None => signal(owner?, socket),
    };
    if answer.is_ok() {
        // Processes on standby read their own files again.
        for process in down::standbys(directory).filter(|process| Some(*process) != owner) {
            let _ = kill(Pid::from_raw(process), Signal::SIGHUP);
        }
    }
    Some(answer)
}

fn nobody(directory: &Path, problems: &[String]) -> Refusal {
    let problem = format!("no daemon runs with PIN_PATH {}", directory.display());
    Refusal { details: problems.to_vec(), ..Refusal::new(Code::Failed, problem) }
}

/// Reloads by a signal, for a daemon that doesn't listen at `socket` yet, and waits until it does.
fn signal(process: i32, socket: Option<&Path>) -> Answer {
    let failed = |problem: String| Refusal::new(Code::Failed, problem);
    kill(Pid::from_raw(process), Signal::SIGHUP)
        .map_err(|errno| failed(format!("sending SIGHUP to process {process}: {errno}")))?;
    let Some(socket) = socket else {
        let said =
            "SIGHUP sent; CONTROL_SOCKET is off, so only the log says when the configuration is in effect";
        return Ok(Value::String(said.into()));
    };
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(Ok(_)) = client::ask_within(socket, &Request::Status { report: false }, PATIENCE) {
            return Ok(Value::Object(serde_json::Map::default()));
        }
        thread::sleep(PAUSE);
    }
    Err(failed(format!("process {process} does not listen at {}: see its log", socket.display())))
}

fn print(answer: &Answer, is_json: bool) -> Exit {
    match answer {
        Ok(done) if is_json => show::print(&observed::json(done)),
        Ok(Value::String(said)) => show::print(&format!("{said}\n")),
        Ok(_) => show::print("configuration reloaded\n"),
        Err(refusal) => {
            for line in refusal.details.iter().chain([&refusal.message]) {
                systemd::complain(Level::Err, &format!("portsentry: {}", table::plain(line)));
            }
            if refusal.code == Code::Refused { Exit::Configuration } else { Exit::Failure }
        }
    }
}
