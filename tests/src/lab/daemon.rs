//! A running daemon.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
};

use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::Pid,
};

use super::{Family, Lab, Log, Portsentry, Probe, log::PATIENCE, maps, mentions, wait_within};

/// A running daemon; killed when dropped. Its pins go with the lab.
#[derive(Debug)]
pub struct Daemon<'lab> {
    setup: Portsentry<'lab>,
    child: Child,
    log: Log,
}

/// How a daemon ended, and all lines that it printed.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// All lines that it printed, including errors.
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

    /// The lab in which it runs.
    pub fn lab(&self) -> &'lab Lab {
        self.setup.lab()
    }

    /// The configuration with which it was started.
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

    /// Waits until the log covers everything received so far: sends a probe from a new source, and waits for the
    /// probe's line.
    pub fn settle(&self) {
        let source = self.lab().source(Family::V4);
        let (probe, ports) = if self.setup.is_udp_only() {
            (Probe::udp as fn(_, _, _) -> _, [1, 7, 9])
        } else {
            (Probe::tcp as fn(_, _, _) -> _, [1, 7, 11])
        };
        let hits = self.setup.setting("SCAN_TRIGGER").parse().unwrap_or(1).max(1);
        let ports = ports.iter().take(hits).map(|port| SocketAddr::new(Family::V4.host(), *port));
        // The scanner's system repeats a SYN until the probe is dropped.
        let _probes: Vec<_> = ports.map(|port| probe(&self.lab().scanner, source, port)).collect();
        self.log.wait_for(&source.to_string());
    }

    /// Returns the lines about packets from `source` so far. Excludes the lines about its block or fence, because
    /// some of those are printed only after the files are written.
    pub fn lines_about(&self, source: IpAddr) -> Vec<String> {
        self.settle();
        self.told_of(source)
    }

    /// Returns the same lines as [`Daemon::lines_about`], without waiting for further ones.
    pub fn told_of(&self, source: IpAddr) -> Vec<String> {
        let follows =
            |line: &String| ["has been blocked", "has been fenced"].iter().any(|it| line.contains(it));
        self.log.lines_about(source).into_iter().filter(|line| !follows(line)).collect()
    }

    /// Waits until all files and the log show that `source` is blocked.
    pub fn wait_for_block(&self, source: IpAddr) {
        self.log.wait_for(&format!("Host {source} has been blocked via wrappers"));
    }

    /// Polls `holds` until it returns true. `what` describes the condition in the failure message.
    pub fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        let complaint = || format!("in vain: {what}. The log:\n{}", self.log.lines().join("\n"));
        wait_within(PATIENCE, complaint, holds);
    }

    /// Returns the lines of the file at the path in `setting`, or none if the file doesn't exist.
    pub fn file(&self, setting: &str) -> Vec<String> {
        let text = fs::read_to_string(self.setup.path(setting)).unwrap_or_default();
        assert!(text.is_empty() || text.ends_with('\n'), "{setting} ends in a torn line:\n{text}");
        text.lines().map(Into::into).collect()
    }

    /// Returns the lines of that file that name `source`.
    pub fn file_about(&self, setting: &str, source: IpAddr) -> Vec<String> {
        self.file(setting).into_iter().filter(|line| mentions(line, source)).collect()
    }

    /// The directory in which its maps are pinned.
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

    /// Returns the value of the kernel program's counter `name` since the maps were created.
    pub fn counter(&self, name: &str) -> u64 {
        maps::counter(&self.pins(), name)
    }

    /// Whether it has exited by itself.
    pub fn has_ended(&self) -> bool {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let process = Pid::from_raw(self.child.id().cast_signed());
        waitid(Id::Pid(process), flags).is_ok_and(|status| status != WaitStatus::StillAlive)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("a signal is sent");
    }

    /// Asks it to end, and waits until it has ended; its pins stay.
    pub fn terminate(self) -> Ended {
        self.signal(Signal::SIGTERM);
        self.end()
    }

    /// Kills it at once; its pins stay.
    pub fn kill(self) -> Ended {
        self.signal(Signal::SIGKILL);
        self.end()
    }

    /// Waits until it ends; its pins stay.
    pub(super) fn end(mut self) -> Ended {
        let lines = self.log.whole();
        let code = self.child.wait().as_ref().ok().and_then(ExitStatus::code);
        Ended { code, lines }
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        // The process may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
