//! A machine in qemu, told by its console alone.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// How much of the console is shown of a machine that fails; the whole of it is kept in a file.
const LAST_WORDS: usize = 60;
const PASSED: &str = "vm: passed";
/// `panic` has a kernel that gives up end the machine. Those mitigations guard against neighbours that it hasn't.
const KERNEL: &str = "console=ttyS0 panic=-1 quiet mitigations=off";

/// A machine to be booted.
pub(super) struct Machine {
    /// Begins its lines.
    pub(super) name: String,
    /// What boots.
    pub(super) kernel: PathBuf,
    /// All its files.
    pub(super) initramfs: PathBuf,
    /// Keeps what it says.
    pub(super) log: PathBuf,
}

impl Machine {
    /// Boots it, shows what it says of tests, and returns how long it took; fails unless it says that they passed.
    pub(super) fn run(&self, kvm: bool, patience: Duration) -> Result<Duration> {
        let start = Instant::now();
        let mut qemu =
            Running(self.qemu(kvm).spawn().context("`qemu-system-x86_64` of the package qemu-system-x86")?);
        let console = qemu.0.stdout.take().context("qemu's console")?;
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            let mut console = BufReader::new(console);
            let mut line = Vec::new();
            while console.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                if send.send(text).is_err() {
                    return;
                }
            }
        });
        let mut log = File::create(&self.log).with_context(|| self.log.display().to_string())?;
        let mut said = Vec::new();
        let ended = loop {
            match lines.recv_timeout(patience.saturating_sub(start.elapsed())) {
                Ok(line) => {
                    if line.starts_with("vm: ") || line.starts_with("test ") {
                        println!("{:>5}  {:>4} s  {line}", self.name, start.elapsed().as_secs());
                    }
                    writeln!(log, "{line}").with_context(|| self.log.display().to_string())?;
                    said.push(line);
                }
                Err(RecvTimeoutError::Disconnected) => break "it ended",
                Err(RecvTimeoutError::Timeout) => break "its time is over",
            }
        };
        drop(qemu);
        if said.iter().any(|line| line == PASSED) {
            return Ok(start.elapsed());
        }
        let last = &said[said.len().saturating_sub(LAST_WORDS)..];
        bail!("{ended}, and never said that its tests passed ({}):\n{}", self.log.display(), last.join("\n"))
    }

    fn qemu(&self, kvm: bool) -> Command {
        let mut qemu = Command::new("qemu-system-x86_64");
        let [accelerator, processor] = if kvm { ["kvm", "host"] } else { ["tcg", "max"] };
        qemu.args(["-accel", accelerator, "-cpu", processor, "-smp", "2", "-m", "1024"]);
        qemu.args(["-nodefaults", "-no-user-config", "-nographic", "-no-reboot", "-serial", "stdio"]);
        qemu.arg("-kernel").arg(&self.kernel).arg("-initrd").arg(&self.initramfs).args(["-append", KERNEL]);
        qemu.stdin(Stdio::null()).stdout(Stdio::piped());
        qemu
    }
}

/// qemu, killed in the end.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended by itself unless its time is over.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
