//! `portsentry events`: prints events from the running daemon.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{looked, options, table, zone::Zone};
use crate::{
    cli::{Cli, Events},
    control::{
        Code, Refusal, Request, Subscription,
        client::{self, Lines},
    },
    exit::Exit,
    sink::feed::Filter,
};

/// Pause before another attempt to connect.
const PAUSE: Duration = Duration::from_millis(500);
/// Maximum time during which a request that the daemon has no room for is repeated.
const PATIENCE: Duration = Duration::from_secs(10);

/// Prints events. Ends when there are no more, or with `--follow` never.
pub(super) fn run(cli: &Cli, events: &Events) -> Exit {
    let config = options::config(cli);
    let Some(socket) = &config.control_socket else {
        eprintln!(
            "portsentry: CONTROL_SOCKET is off, and events come from there; JSON_LOG writes them to a file"
        );
        return Exit::Failure;
    };
    let mut subscription = subscription(events);
    let mut page = Page { zone: (!events.json).then(|| Zone::new(events.utc)), has_begun: false };
    let mut lines = match connect(socket, &subscription) {
        Ok(lines) => lines,
        Err(problem) => {
            eprintln!("portsentry: {problem}");
            return Exit::Failure;
        }
    };
    loop {
        if let Some(next) = lines.answer["next"].as_u64() {
            subscription.after = Some(next.saturating_sub(1));
        }
        match copy(&mut lines, &mut page, &mut subscription) {
            Ok(()) if !events.follow => return Exit::Success,
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Exit::Success,
            Err(error) => {
                eprintln!("portsentry: writing to standard output: {error}");
                return Exit::Failure;
            }
        }
        eprintln!("portsentry: the daemon has closed the connection; waiting for it");
        lines = match again(socket, &subscription) {
            Ok(lines) => lines,
            Err(problem) => {
                eprintln!("portsentry: {problem}");
                return Exit::Failure;
            }
        };
        eprintln!("portsentry: connected again");
    }
}

fn subscription(events: &Events) -> Subscription {
    Subscription {
        follow: events.follow,
        after: events.after,
        limit: events.limit,
        filter: Filter {
            action: events.action.clone(),
            network: events.network,
            kind: events.kind.clone(),
            port: events.port,
        },
    }
}

/// Connects, and asks again while the daemon is too busy.
fn connect(socket: &Path, subscription: &Subscription) -> Result<Lines, String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match client::follow(socket, &Request::Events(subscription.clone())) {
            None => return Err(format!("no daemon answers at {}", socket.display())),
            Some(Ok(lines)) => return Ok(lines),
            Some(Err(Refusal { code: Code::Busy, .. })) if Instant::now() < deadline => thread::sleep(PAUSE),
            Some(Err(refusal)) => return Err(looked::refused(socket, &refusal)),
        }
    }
}

/// Connects to the next daemon, however long it takes to start.
fn again(socket: &Path, subscription: &Subscription) -> Result<Lines, String> {
    loop {
        thread::sleep(PAUSE);
        match client::follow(socket, &Request::Events(subscription.clone())) {
            Some(Ok(lines)) => return Ok(lines),
            Some(Err(refusal)) if refusal.code == Code::Forbidden => {
                return Err(looked::refused(socket, &refusal));
            }
            None | Some(Err(_)) => {}
        }
    }
}

/// Prints the lines until the connection ends. Errors are those of standard output.
fn copy(lines: &mut Lines, page: &mut Page, subscription: &mut Subscription) -> io::Result<()> {
    let mut out = io::stdout().lock();
    // An error of the connection ends it.
    while let Ok(Some(line)) = lines.next_line() {
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        out.write_all(page.show(&line, &event).as_bytes())?;
        out.flush()?;
        if let Some(sequence) = event["event"]["sequence"].as_u64() {
            subscription.after = Some(sequence);
        }
    }
    Ok(())
}

/// The output so far.
struct Page {
    /// `None` for JSON.
    zone: Option<Zone>,
    has_begun: bool,
}

impl Page {
    fn show(&mut self, line: &str, event: &Value) -> String {
        let Some(zone) = &self.zone else { return line.into() };
        let mut text = String::new();
        if !std::mem::replace(&mut self.has_begun, true) {
            let times = zone.heading("TIME");
            text = format!("{times:<23}  {:<8}  MESSAGE\n", "EVENT");
        }
        let word = |name: &str| event["event"][name].as_str().unwrap_or("-");
        let time = zone.show_exactly(event["@timestamp"].as_str().unwrap_or("-"));
        let message = event["message"].as_str().unwrap_or("-");
        for message in message.lines() {
            let (time, action, message) =
                (table::plain(&time), table::plain(word("action")), table::plain(message));
            // Writing to a string never fails.
            let _ = writeln!(text, "{time:<23}  {action:<8}  {message}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_rows_for_people() {
        let line =
            r#"{"@timestamp":"2026-11-23T09:30:12.345Z","event":{"action":"block"},"message":"a\nb\u001b"}"#;
        let event = serde_json::from_str(line).unwrap();
        let mut page = Page { zone: Some(Zone::utc()), has_begun: false };
        let rows = "2026-11-23 09:30:12.345  block     a\n2026-11-23 09:30:12.345  block     b\\u{1b}\n";
        let heading = "TIME (UTC)               EVENT     MESSAGE\n";
        assert_eq!(page.show(line, &event), format!("{heading}{rows}"));
        assert_eq!(page.show(line, &event), rows);
        assert_eq!(Page { zone: None, has_begun: false }.show(line, &event), line);
    }
}
