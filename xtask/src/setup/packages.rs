//! The Debian packages whose programs the demonstration and the tests run. It must not touch other packages.

use std::process::Command;

use anyhow::{Result, bail};

use crate::shell;

/// Programs, and the packages that have them.
const NEEDED: [(&str, &str); 13] = [
    ("ip", "iproute2"),
    ("bpftool", "bpftool"),
    ("nmap", "nmap"),
    ("ncat", "ncat"),
    ("masscan", "masscan"),
    ("hping3", "hping3"),
    ("scapy", "python3-scapy"),
    ("tcpdump", "tcpdump"),
    ("ethtool", "ethtool"),
    ("nsenter", "util-linux"),
    ("systemd-analyze", "systemd"),
    ("adduser", "adduser"),
    ("ping", "iputils-ping"),
];

/// Installs the packages of the programs that are missing.
pub(super) fn install_missing() -> Result<()> {
    let missing = NEEDED.iter().filter(|(program, _)| shell::find(program).is_none());
    let missing: Vec<&str> = missing.map(|(_, package)| *package).collect();
    if missing.is_empty() { Ok(()) } else { install(&missing) }
}

/// Installs Debian packages, or says that they must be.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if shell::find("apt-get").is_none() || !shell::is_root() {
        bail!("please install {list} (names of Debian's packages), as root: apt-get install {list}");
    }
    shell::step(&format!("installing {list} (a minute or two)"));
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq").args(arguments);
        shell::output(&mut command).map(drop)
    };
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"], packages].concat())
}
