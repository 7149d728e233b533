//! The demonstration's two network namespaces and its files.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

/// The scanned namespace.
pub(super) const HOST: &str = "portsentry-demo-host";
/// The scanner's namespace.
pub(super) const SCANNER: &str = "portsentry-demo-scanner";
/// Directory of the daemon's pins.
pub(super) const PINS: &str = "/sys/fs/bpf/portsentry-demo";

/// Two hosts joined by a veth pair. Dropping it removes everything.
pub(super) struct Stage {
    files: TempDir,
}

impl Stage {
    /// Creates the namespaces, after removing leftovers of a killed run.
    pub(super) fn open() -> Result<Self> {
        sweep();
        let files = TempDir::with_prefix("portsentry-demo-").context("making a directory for the files")?;
        let stage = Self { files };
        ip(&["netns", "add", HOST])?;
        ip(&["netns", "add", SCANNER])?;
        ip(&[
            "link", "add", "eth0", "netns", HOST, "type", "veth", "peer", "name", "eth0", "netns", SCANNER,
        ])?;
        for (namespace, v4, v6) in
            [(HOST, "192.0.2.1/24", "2001:db8::1/64"), (SCANNER, "192.0.2.2/24", "2001:db8::2/64")]
        {
            ip(&["-n", namespace, "link", "set", "lo", "up"])?;
            ip(&["-n", namespace, "address", "add", v4, "dev", "eth0"])?;
            ip(&["-n", namespace, "address", "add", v6, "dev", "eth0", "nodad"])?;
            ip(&["-n", namespace, "link", "set", "eth0", "up"])?;
        }
        Ok(stage)
    }

    /// Returns the directory for the daemon's files.
    pub(super) fn files(&self) -> &Path {
        self.files.path()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        sweep();
    }
}

/// A process that ends when its handle is dropped.
pub(super) struct Running(Child);

impl Running {
    /// Starts `command`. The process ends when the result is dropped.
    pub(super) fn spawn(command: &mut Command) -> Result<Self> {
        command
            .stdin(Stdio::null())
            .spawn()
            .map(Self)
            .with_context(|| format!("starting {:?}", command.get_args()))
    }

    /// Starts `command` like [`Running::spawn`]. Prints its output, and returns it line by line.
    pub(super) fn spawn_with_log(command: &mut Command) -> Result<(Self, mpsc::Receiver<String>)> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {:?}", command.get_args()))?;
        let output = child.stdout.take().context("the log's pipe is missing")?;
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                println!("  log | {line}");
                // The receiver may be gone; the line is printed anyway.
                let _ = sender.send(line);
            }
        });
        Ok((Self(child), receiver))
    }

    /// Asks the process to end, and waits until it has ended.
    pub(super) fn terminate(&mut self) -> Result<()> {
        kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM).context("sending SIGTERM")?;
        let status = self.0.wait().context("waiting for the end")?;
        ensure!(status.success(), "it ended with {status}");
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may already have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns a command to run in `namespace`. (Not `ip netns exec`, whose fresh /sys lacks bpffs.)
pub(super) fn inside(namespace: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/var/run/netns/{namespace}")).arg(program);
    command
}

/// Runs `command` with its output indented. Returns the output.
pub(super) fn show(command: &mut Command) -> Result<String> {
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let typed = words.iter().skip_while(|word| *word == "nsenter" || word.starts_with("--net="));
    println!("  $ {}", typed.map(String::as_str).collect::<Vec<_>>().join(" "));
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("running {}", words.join(" ")))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.lines().for_each(|line| println!("    {line}"));
    ensure!(
        output.status.success(),
        "{} failed: {}",
        words.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(said)
}

pub(super) fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("running ip (Debian: iproute2)")?;
    let problem = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", arguments.join(" "), problem.trim());
    Ok(())
}

/// Removes namespaces and pins; missing ones are no error.
fn sweep() {
    for namespace in [HOST, SCANNER] {
        let _ = Command::new("ip").args(["netns", "delete", namespace]).stderr(Stdio::null()).status();
    }
    let _ = fs::remove_dir_all(PINS);
}
