//! `cargo xtask demo`: shows a scan detected, logged and dropped, between two network namespaces.

mod fleet;
mod picture;
mod scene;
mod stage;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Args;

use self::{
    scene::{config, ensure_running, heading},
    stage::{HOST, PINS, Running, SCANNER, Stage, inside, show},
};
use crate::{build, paths, setup};

/// The scanned addresses, by address family.
const TARGETS: [(&str, &str); 2] = [("IPv4", "192.0.2.1"), ("IPv6", "2001:db8::1")];

/// The daemon to demonstrate, and the form of the output.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Show this daemon instead of building one
    #[arg(long, value_name = "FILE")]
    daemon: Option<PathBuf>,
    /// Show three gateways that share their blocks
    #[arg(long, conflicts_with = "picture")]
    fleet: bool,
    /// Draw the output as an SVG picture, as in the README
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
}

/// Sets up, builds, and runs the demonstration.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::scan()?;
    if arguments.daemon.is_none() {
        build::run()?;
    }
    if arguments.fleet {
        setup::fleet()?;
    }
    if arguments.fleet && arguments.daemon.is_none() {
        build::companion()?;
    }
    let binary = arguments.daemon.clone().unwrap_or_else(paths::daemon);
    if let Some(picture) = &arguments.picture {
        return picture::run(&binary, picture);
    }
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted)).context("catching signals")?;
    }
    let ended =
        if arguments.fleet { fleet::play(&binary, &interrupted) } else { play(&binary, &interrupted) };
    if interrupted.load(Ordering::Relaxed) {
        bail!("interrupted; namespaces, pins and files are removed");
    }
    ended
}

fn play(binary: &Path, interrupted: &AtomicBool) -> Result<()> {
    let go_on = || ensure_running(interrupted);
    heading("Two hosts in network namespaces: one runs portsentry and a web server, the other scans it");
    let stage = Stage::open()?;
    let files = stage.files();
    fs::write(files.join("portsentry.ignore"), "127.0.0.1/32\n::1/128\n")
        .context("writing the ignore file")?;
    fs::write(files.join("portsentry.blocklist"), "").context("writing the block list")?;
    fs::write(files.join("portsentry.conf"), config(files, Path::new(PINS)))
        .context("writing portsentry.conf")?;
    let _server = Running::spawn(inside(HOST, "ncat").args(["-lk", "80"]).stdout(Stdio::null()))?;
    go_on()?;

    heading("portsentry starts; its log appears as it is written");
    let mut portsentry = inside(HOST, binary);
    portsentry
        .args(["-stcp", "-sudp", "-l", "stdout", "-i", "eth0", "-c"])
        .arg(files.join("portsentry.conf"));
    let (mut daemon, log) = Running::spawn_with_log(&mut portsentry)?;
    wait_for(&log, "active and listening", interrupted)?;

    for (family, target) in TARGETS {
        heading(&format!(
            "The scanner probes eleven ports over {family}; 79 is a trap, 80 is the web server"
        ));
        scan("-sS", target, go_on)?;
        wait_for(&log, "has been fenced for", interrupted)?;
    }

    let blocked = files.join("portsentry.blocked");
    wait_for_lines(&blocked, TARGETS.len(), interrupted)?;
    heading("The blocked file");
    show(Command::new("cat").arg(blocked))?;
    heading("The kernel's maps: the scanner is fenced, because its address may be spoofed");
    for map in ["FENCED_V4", "FENCED_V6"] {
        show(Command::new("bpftool").args(["map", "dump", "pinned"]).arg(format!("{PINS}/{map}")))?;
    }
    go_on()?;

    heading("To the fenced scanner every port looks open, so it can't tell the web server from the rest");
    for (_, target) in TARGETS {
        scan("-sS", target, go_on)?;
    }

    heading("The scanner completes handshakes: that proves its address, and it is blocked");
    for (_, target) in TARGETS {
        scan("-sT", target, go_on)?;
        wait_for(&log, "has been blocked via wrappers", interrupted)?;
    }
    heading("hosts.deny");
    show(Command::new("cat").arg(files.join("hosts.deny")))?;

    heading("The proven scanner tries again, and gets nothing at all");
    for (_, target) in TARGETS {
        scan("-sS", target, go_on)?;
    }

    heading("portsentry stops");
    daemon.terminate()?;
    println!(
        "\nThe scan was detected, logged and dropped. Nothing of this demonstration is left on the machine."
    );
    Ok(())
}

fn scan(kind: &str, target: &str, go_on: impl Fn() -> Result<()>) -> Result<()> {
    let mut nmap = inside(SCANNER, "nmap");
    nmap.args(["-n", "-Pn", kind, "-p", "75-85", "--max-retries", "0", "-T5", "--host-timeout", "20s"]);
    if target.contains(':') {
        nmap.arg("-6");
    }
    show(nmap.arg(target))?;
    go_on()
}

/// Waits until a line of the daemon's log contains `text`.
fn wait_for(log: &mpsc::Receiver<String>, text: &str, interrupted: &AtomicBool) -> Result<()> {
    for _ in 0..100 {
        ensure_running(interrupted)?;
        match log.recv_timeout(Duration::from_millis(200)) {
            Ok(line) if line.contains(text) => return Ok(()),
            Ok(_) | Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                bail!("portsentry has ended; its last words are above")
            }
        }
    }
    bail!("portsentry did not log \"{text}\" within 20 seconds")
}

/// Waits until the file has this many lines: the daemon writes it up to half a second after the log.
fn wait_for_lines(file: &Path, lines: usize, interrupted: &AtomicBool) -> Result<()> {
    for _ in 0..100 {
        ensure_running(interrupted)?;
        if fs::read_to_string(file).is_ok_and(|text| text.lines().count() >= lines) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(200));
    }
    bail!("{} has not got {lines} lines within 20 seconds", file.display())
}
