//! One of the two daemons, on a lab's host.

use std::{
    env, fs,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use portsentry_tests::lab::{self, Lab};

use super::Which;

/// Environment variable with the path of Debian's program. It is unpacked but not installed, because an installed
/// one would be started with the machine, and could be portsentry's own package.
const PROGRAM: &str = "PORTSENTRY_CLASSIC";
/// Debian's default configuration, but with blocking by a route, as it suggests for Linux.
const CONFIG: &str = r#"TCP_PORTS="1,7,11"
UDP_PORTS="1,7,9"
ADVANCED_PORTS_TCP="1024"
ADVANCED_PORTS_UDP="1024"
ADVANCED_EXCLUDE_TCP="113,139"
ADVANCED_EXCLUDE_UDP="520,138,137,67"
IGNORE_FILE="/etc/portsentry/portsentry.ignore"
HISTORY_FILE="/var/lib/portsentry/portsentry.history"
BLOCKED_FILE="/var/lib/portsentry/portsentry.blocked"
RESOLVE_HOST="0"
BLOCK_UDP="1"
BLOCK_TCP="1"
KILL_ROUTE="ip route add blackhole $TARGET$"
SCAN_TRIGGER="0"
"#;
/// Mounts the daemon's files over the machine's.
const MOUNTS: &str = r#"
for directory in /etc/portsentry /var/lib/portsentry; do
    mount -t tmpfs none "${directory%/*}"
    mkdir "$directory"
    mount --bind "$1" "$directory"
done
exec "$2" -atcp
"#;

/// A running daemon.
pub(crate) enum Daemon<'lab> {
    Debian { process: u32 },
    Ours(Box<lab::Daemon<'lab>>),
}

impl<'lab> Daemon<'lab> {
    pub(crate) fn start(lab: &'lab Lab, which: Which) -> Result<Self> {
        match which {
            Which::Debian => debian(lab),
            Which::Ours => {
                let setup =
                    lab.portsentry("-atcp").without("BLOCK_UNPROVEN").with("ADVANCED_PORTS_TCP", "1024");
                Ok(Self::Ours(Box::new(setup.start())))
            }
        }
    }

    fn process(&self) -> u32 {
        match self {
            Self::Debian { process } => *process,
            Self::Ours(daemon) => daemon.process(),
        }
    }

    /// CPU time of the daemon and of its commands.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds(self.process())
    }

    pub(crate) fn memory_mib(&self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.process()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a size")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib.div_ceil(1024))
    }
}

/// Returns the CPU time of a process and of its children that have ended (proc(5)).
pub(crate) fn cpu_seconds(process: u32) -> Result<f64> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).context("the daemon is gone")?;
    let (_, fields) = text.rsplit_once(") ").context(path)?;
    let times = fields.split(' ').skip(11).take(4).map(str::parse::<u32>);
    let ticks = times.collect::<Result<Vec<_>, _>>()?.into_iter().sum::<u32>();
    let second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.context("a clock tick")?;
    Ok(f64::from(ticks) / f64::from(u32::try_from(second)?))
}

fn debian(lab: &Lab) -> Result<Daemon<'_>> {
    let program = env::var_os(PROGRAM).map(PathBuf::from).filter(|program| program.exists());
    let program = program.context("Debian's package portsentry is missing")?;
    fs::write(lab.files().join("portsentry.conf"), CONFIG)?;
    for name in
        ["portsentry.ignore", "portsentry.ignore.static", "portsentry.history", "portsentry.blocked.atcp"]
    {
        fs::write(lab.files().join(name), "")?;
    }
    let started = lab
        .host
        .command("unshare")
        .args(["--mount", "sh", "-euc", MOUNTS, "sh"])
        .arg(lab.files())
        .arg(program)
        .stdout(Stdio::null())
        .status()?;
    ensure!(started.success(), "it doesn't start: {started}");
    for _ in 0..100 {
        let is_watching = lab.host.run("cat", &["/proc/net/raw"]).lines().count() > 1;
        let process = processes(lab)?.into_iter().find(|process| is_portsentry(*process));
        if let (true, Some(process)) = (is_watching, process) {
            return Ok(Daemon::Debian { process });
        }
        thread::sleep(Duration::from_millis(100));
    }
    bail!("the daemon isn't ready within ten seconds")
}

/// Returns the processes on the host.
fn processes(lab: &Lab) -> Result<Vec<u32>> {
    let listed = Command::new("ip").args(["netns", "pids", lab.host.name()]).output()?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    listed.split_whitespace().map(|process| Ok(process.parse()?)).collect()
}

fn is_portsentry(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/comm")).is_ok_and(|name| name.trim() == "portsentry")
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        if let Self::Debian { process } = self {
            // It may already be gone.
            let _ = Command::new("kill").arg(process.to_string()).status();
        }
    }
}
