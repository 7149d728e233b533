//! The conditions of a run.

use std::{env, fs, process::Command};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// Machine, kernel, time and parameters. Figures are comparable only within one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// The processor, the number of CPUs, and whether they are virtual.
    pub(crate) machine: String,
    pub(crate) kernel: String,
    pub(crate) command: String,
    /// Version of the source, as named by git.
    #[serde(default)]
    pub(crate) version: String,
    /// Start, with the time zone.
    pub(crate) date: String,
    /// Load average at the start, including all other programs.
    pub(crate) load: String,
    /// Blocked sources of each address family.
    pub(crate) blocked: u32,
    /// Number of rounds.
    pub(crate) rounds: u32,
}

impl Run {
    /// Describes this run.
    pub(crate) fn begin(blocked: u32, rounds: u32) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let processors = read("/proc/cpuinfo");
        let field = |name: &str| {
            let mut fields = processors.lines().filter_map(|line| line.split_once(':'));
            fields.find(|(key, _)| key.trim() == name).map_or("unknown", |(_, value)| value.trim())
        };
        let count = processors.lines().filter(|line| line.starts_with("processor")).count();
        let is_virtual = field("flags").split(' ').any(|flag| flag == "hypervisor");
        // A hypervisor may report the same name for processors of different speed.
        let machine = format!(
            "{count} {}CPUs, {} (family {}, model {})",
            if is_virtual { "virtual " } else { "" },
            field("model name"),
            field("cpu family"),
            field("model")
        );
        let arguments: Vec<String> = env::args().skip(1).collect();
        Self {
            machine,
            kernel: format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
            command: ["cargo xtask bench".into(), arguments.join(" ")].join(" ").trim().into(),
            version: version(),
            date: jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S %z").to_string(),
            load: read("/proc/loadavg").split(' ').take(1).collect(),
            blocked,
            rounds,
        }
    }

    /// Returns an error unless figures of this run and of `other` are comparable.
    pub(crate) fn ensure_same(&self, other: &Self) -> Result<()> {
        let parts = [
            ("machine", &self.machine, &other.machine),
            ("kernel", &self.kernel, &other.kernel),
            ("command", &self.command, &other.command),
            ("date", &self.date, &other.date),
        ];
        let differing = parts.into_iter().filter(|(_, one, other)| one != other);
        let differing: Vec<String> =
            differing.map(|(what, one, other)| format!("  {what}: {one} / {other}")).collect();
        ensure!(
            differing.is_empty(),
            "figures of different runs aren't comparable; measure both in one run:\n{}",
            differing.join("\n")
        );
        Ok(())
    }
}

/// Returns git's description of the checkout, or an empty string without git.
fn version() -> String {
    let said = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    said.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_figures_of_one_run_are_compared() {
        let run = Run::begin(1, 1);
        assert!(run.ensure_same(&run.clone()).is_ok());
        for other in [
            Run { machine: "another".into(), ..run.clone() },
            Run { kernel: "another".into(), ..run.clone() },
            Run { command: "another".into(), ..run.clone() },
            Run { date: "another".into(), ..run.clone() },
        ] {
            assert!(run.ensure_same(&other).is_err(), "{other:?}");
        }
    }
}
