//! Supervision by systemd and similar managers: the daemon's `sd_notify(3)` messages on the test's own socket.

use std::{fs, os::unix::net::UnixDatagram, path::PathBuf, process::Command, time::Duration};

use nix::{
    sys::{
        ptrace,
        signal::Signal,
        wait::{WaitPidFlag, waitpid},
    },
    unistd::Pid,
};
use portsentry_tests::lab::{Daemon, Family, Lab, Portsentry, uninterrupted};

/// Watchdog interval in microseconds. The daemon must report twice as often.
const WATCHDOG: u64 = 4_000_000;

struct Supervisor {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Supervisor {
    fn new(lab: &Lab) -> Self {
        let path = lab.files().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
        Self { socket, path }
    }

    /// Makes a command's process report to this socket.
    fn over(&self, mut command: Command) -> Command {
        command.env("NOTIFY_SOCKET", &self.path).env("WATCHDOG_USEC", WATCHDOG.to_string());
        command
    }

    fn start<'lab>(&self, setup: &Portsentry<'lab>) -> Daemon<'lab> {
        setup.start_in(|command| self.over(command))
    }

    fn next(&self) -> Option<String> {
        let mut bytes = [0; 4096];
        let length = uninterrupted(|| self.socket.recv(&mut bytes)).ok()?;
        Some(String::from_utf8(bytes[..length].to_vec()).expect("text"))
    }

    /// Returns the messages up to and including one that contains `text`.
    fn wait_for(&self, text: &str) -> Vec<String> {
        let mut messages = Vec::new();
        while let Some(message) = self.next() {
            messages.push(message);
            if messages.last().is_some_and(|message| message.contains(text)) {
                return messages;
            }
        }
        panic!("no \"{text}\" came, but {messages:?}");
    }
}

/// The keeper's thread, stopped by ptrace until this is dropped.
struct Held(Pid);

impl Held {
    fn keeper(daemon: &Daemon<'_>) -> Self {
        let threads = fs::read_dir(format!("/proc/{}/task", daemon.process())).expect("its threads");
        let is_keeper = |thread: &fs::DirEntry| {
            fs::read_to_string(thread.path().join("comm")).is_ok_and(|name| name.trim() == "keeper")
        };
        let thread = threads.flatten().find(is_keeper).expect("a keeper's thread").file_name();
        let thread = Pid::from_raw(thread.to_string_lossy().parse().expect("a number"));
        ptrace::seize(thread, ptrace::Options::empty()).expect("tracing it");
        ptrace::interrupt(thread).expect("stopping it");
        waitpid(thread, Some(WaitPidFlag::__WALL)).expect("it stops");
        Self(thread)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // A daemon that has ended can't be resumed.
        let _ = ptrace::detach(self.0, None);
    }
}

#[test]
fn a_supervisor_hears_of_start_reload_and_stop() {
    let lab = Lab::new();
    let supervisor = Supervisor::new(&lab);
    let setup = lab.portsentry("-stcp");
    let daemon = supervisor.start(&setup);
    assert!(!supervisor.wait_for("READY=1").concat().contains("RELOADING"));

    for (answer, expected) in [("1", "Configuration reloaded"), ("9", "The configuration is unchanged")] {
        setup.clone().with("BLOCK_TCP", answer).write();
        daemon.signal(Signal::SIGHUP);
        let reloading = supervisor.wait_for("RELOADING=1").pop().unwrap_or_default();
        let at = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")?.parse::<u64>().ok());
        assert!(at.is_some_and(|at| at > 0), "{reloading}");
        supervisor.wait_for("READY=1");
        daemon.log().wait_for(expected);
    }

    daemon.signal(Signal::SIGTERM);
    supervisor.wait_for("STOPPING=1");
    assert_eq!(daemon.terminate().code, Some(0));
}

#[test]
fn the_status_counts_who_is_blocked() {
    let lab = Lab::new();
    let supervisor = Supervisor::new(&lab);
    let setup = lab.portsentry("-stcp");
    let daemon = supervisor.start(&setup);
    supervisor.wait_for("STATUS=blocking, without proof; watching 1 interfaces, 0 sources");
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
    supervisor.wait_for("STATUS=blocking, without proof; watching 1 interfaces, 1 sources");
}

#[test]
fn the_watchdog_is_fed_only_while_the_keeper_lives() {
    let lab = Lab::new();
    let supervisor = Supervisor::new(&lab);
    let daemon = supervisor.start(&lab.portsentry("-stcp"));
    // Earlier ones are those of its start.
    supervisor.wait_for("READY=1");
    supervisor.wait_for("WATCHDOG=1");
    supervisor.wait_for("WATCHDOG=1");

    let held = Held::keeper(&daemon);
    supervisor.socket.set_read_timeout(Some(Duration::from_micros(WATCHDOG))).expect("a limit");
    // Its last heartbeat counts for half of the interval.
    let mut fed = 0;
    while let Some(message) = supervisor.next() {
        fed += usize::from(message.contains("WATCHDOG=1"));
        assert!(fed <= 2, "a daemon whose keeper hangs says that it is well");
    }
    drop(held);
    supervisor.socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
    supervisor.wait_for("WATCHDOG=1");
}
