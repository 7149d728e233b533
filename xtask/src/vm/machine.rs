//! A machine in qemu, observed through its console.

use std::{
    env,
    fs::File,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{cards::Model, disk::Disk, emulator::Emulator};
use crate::arch::{Arch, Target};

/// Number of the console's last lines shown for a failed machine. A file keeps all of them.
const LAST_WORDS: usize = 60;
const PASSED: &str = "vm: passed";
/// `panic=-1` ends the machine if the kernel panics. The mitigations, switched off here, protect against
/// neighbours, which this machine lacks.
const KERNEL: &str = "panic=-1 quiet mitigations=off";

/// Options of the kernel under systemd: the cards keep the kernel's names.
const KERNEL_UNDER_SYSTEMD: &str = "net.ifnames=0 systemd.show_status=false";

/// Variables of the environment that tests in the machine read, too.
const VARIABLES: [&str; 3] = ["REPLACEMENTS", "RUST_TEST_THREADS", "STACK_SECONDS"];

/// How often a machine boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Boots {
    /// Once, into a program that runs the tests.
    Once,
    /// Under systemd, as often as the tests want.
    Again,
}

/// A virtual machine.
pub(super) struct Machine {
    /// Prefix of its lines.
    pub(super) name: String,
    /// Its kernel's name, and the cards' driver.
    pub(super) release: String,
    /// Path of its kernel.
    pub(super) kernel: PathBuf,
    /// Path of its initramfs.
    pub(super) initramfs: PathBuf,
    /// Path of the file for its console's output.
    pub(super) log: PathBuf,
    /// The program that emulates it.
    pub(super) emulator: Emulator,
    /// The model of its network cards, if it has some.
    pub(super) cards: Option<Model>,
    /// Its processor.
    pub(super) target: Target,
    /// Its disks.
    pub(super) disks: Vec<Disk>,
    /// How often it boots.
    pub(super) boots: Boots,
}

impl Machine {
    /// Boots it, prints its test results, and returns the time that it took. Fails unless it reports success.
    pub(super) fn run(&self, kvm: bool, patience: Duration) -> Result<Duration> {
        let start = Instant::now();
        let mut qemu = self.qemu(kvm);
        let program = qemu.get_program().to_owned();
        let mut qemu = Running(qemu.spawn().with_context(|| format!("`{}` of qemu", program.display()))?);
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
        bail!(
            "{ended} without reporting that its tests passed ({}):\n{}",
            self.log.display(),
            last.join("\n")
        )
    }

    fn qemu(&self, kvm: bool) -> Command {
        let mut qemu = self.emulator.command(self.cards.and_then(Model::surroundings));
        let is_arm = self.target.rust() == Arch::Arm64.rust();
        // With a thread for each processor, one of x86 may run an instruction while the other's kernel replaces it (`int3`
        // in the dispatcher of XDP programs).
        let [accelerator, processor] = match (kvm, is_arm) {
            (true, _) => ["kvm", "host"],
            (false, true) => ["tcg,thread=multi", "cortex-a72"],
            (false, false) => ["tcg,thread=single", "max"],
        };
        let console = if is_arm { "ttyAMA0" } else { "ttyS0" };
        qemu.args(["-accel", accelerator, "-cpu", processor, "-smp", "2", "-m", "2048"]);
        qemu.args(is_arm.then_some(["-machine", "virt"]).iter().flatten());
        qemu.args(["-nodefaults", "-no-user-config", "-nographic", "-serial", "stdio"]);
        qemu.arg("-kernel").arg(&self.kernel).arg("-initrd").arg(&self.initramfs);
        let mut options = format!("console={console} {KERNEL}");
        match self.boots {
            Boots::Once => drop(qemu.arg("-no-reboot")),
            Boots::Again => options.extend([" ", KERNEL_UNDER_SYSTEMD]),
        }
        // The kernel hands what it doesn't know over to its first process, in the environment.
        for variable in VARIABLES {
            if let Ok(value) = env::var(variable) {
                options.extend([" ", variable, "=", &value]);
            }
        }
        qemu.arg("-append").arg(options);
        if let Some(model) = self.cards {
            model.plug_in(&mut qemu);
        }
        self.disks.iter().for_each(|disk| disk.plug_in(&mut qemu));
        qemu.stdin(Stdio::null()).stdout(Stdio::piped());
        qemu
    }
}

/// A qemu process, killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // The process has already ended, unless its time is over.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
