//! A running daemon.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::Pid,
};

use super::{Family, Lab, Log, Portsentry, Probe, log::PATIENCE, maps, mentions};

/// What no event tells of is looked at this often.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// A running daemon; killed when dropped. Its pins go with the lab.
#[derive(Debug)]
pub struct Daemon<'lab> {
    setup: Portsentry<'lab>,
    child: Child,
    log: Log,
}

/// What is left of a daemon: how it ended, and all that it said.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// Its lines, errors among them.
    pub lines: Vec<String>,
}

impl Ended {
    /// The lines as one text.
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }
}

impl<'lab> Daemon<'lab> {
    pub(super) fn spawn(setup: Portsentry<'lab>, mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let log = Log::default();
        log.follow(child.stdout.take().expect("a pipe"));
        log.follow(child.stderr.take().expect("a pipe"));
        Self { setup, child, log }
    }

    /// The lab that it runs in.
    pub fn lab(&self) -> &'lab Lab {
        self.setup.lab()
    }

    /// What it was started with.
    pub fn setup(&self) -> &Portsentry<'lab> {
        &self.setup
    }

    /// What it prints.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Waits until what was received up to now is in the log: a probe from a new source is sent behind it all, and
    /// its line waited for.
    pub fn settle(&self) {
        let source = self.lab().source(Family::V4);
        let (probe, ports) = if self.setup.is_udp_only() {
            (Probe::udp as fn(_, _, _) -> _, [1, 7, 9])
        } else {
            (Probe::tcp as fn(_, _, _) -> _, [1, 7, 11])
        };
        let hits = self.setup.setting("SCAN_TRIGGER").parse().unwrap_or(1).max(1);
        let ports = ports.iter().take(hits).map(|port| SocketAddr::new(Family::V4.host(), *port));
        // A connection's SYN is repeated until it is let go.
        let _probes: Vec<_> = ports.map(|port| probe(&self.lab().scanner, source, port)).collect();
        self.log.wait_for(&source.to_string());
    }

    /// Every line about what was received from `source` up to now, but for those about what followed: some of them
    /// come later, when files have been written.
    pub fn lines_about(&self, source: IpAddr) -> Vec<String> {
        self.settle();
        self.told_of(source)
    }

    /// As [`Daemon::lines_about`], of what is in the log already.
    pub fn told_of(&self, source: IpAddr) -> Vec<String> {
        let follows =
            |line: &String| ["has been blocked", "has been fenced"].iter().any(|it| line.contains(it));
        self.log.lines_about(source).into_iter().filter(|line| !follows(line)).collect()
    }

    /// Waits until all files and the log show that `source` is blocked.
    pub fn wait_for_block(&self, source: IpAddr) {
        self.log.wait_for(&format!("Host {source} has been blocked via wrappers"));
    }

    /// Waits until `holds`, asked again and again; `what` says what is waited for.
    pub fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "in vain: {what}. The log:\n{}", self.log.lines().join("\n"));
            thread::sleep(BETWEEN_LOOKS);
        }
    }

    /// The lines of a file that it was configured with, by the setting's name; none if it isn't there.
    pub fn file(&self, setting: &str) -> Vec<String> {
        let text = fs::read_to_string(self.setup.path(setting)).unwrap_or_default();
        assert!(text.is_empty() || text.ends_with('\n'), "{setting} ends in a torn line:\n{text}");
        text.lines().map(Into::into).collect()
    }

    /// The lines of a file that name `source`.
    pub fn file_about(&self, setting: &str, source: IpAddr) -> Vec<String> {
        self.file(setting).into_iter().filter(|line| mentions(line, source)).collect()
    }

    /// Where its maps are pinned.
    pub fn pins(&self) -> PathBuf {
        let path = self.setup.setting("PIN_PATH");
        if self.setup.is_installed() {
            format!("/proc/{}/root{path}", self.process()).into()
        } else {
            path.into()
        }
    }

    /// The sources in the kernel's blocked maps.
    pub fn blocked(&self) -> Vec<IpAddr> {
        maps::blocked(&self.pins())
    }

    /// The sources in the kernel's fenced maps.
    pub fn fenced(&self) -> Vec<IpAddr> {
        maps::fenced(&self.pins())
    }

    /// A counter of the kernel program's by its name, since the maps were made.
    pub fn counter(&self, name: &str) -> u64 {
        maps::counter(&self.pins(), name)
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&self) -> bool {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let process = Pid::from_raw(self.child.id().cast_signed());
        waitid(Id::Pid(process), flags).is_ok_and(|status| status != WaitStatus::StillAlive)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("a signal is sent");
    }

    /// Asks it to end and waits for that; its pins stay.
    pub fn terminate(self) -> Ended {
        self.signal(Signal::SIGTERM);
        self.end()
    }

    /// Kills it at once; its pins stay.
    pub fn kill(self) -> Ended {
        self.signal(Signal::SIGKILL);
        self.end()
    }

    /// Waits for its end; its pins stay.
    pub(super) fn end(mut self) -> Ended {
        let lines = self.log.whole();
        let code = self.child.wait().as_ref().ok().and_then(ExitStatus::code);
        Ended { code, lines }
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
