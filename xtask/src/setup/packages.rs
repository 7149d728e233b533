//! Debian packages for the demonstration and the tests.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{
    arch::{Arch, Target},
    shell,
};

/// Programs and their packages.
const NEEDED: [(&str, &str); 26] = [
    ("ip", "iproute2"),
    ("bpftool", "bpftool"),
    ("nmap", "nmap"),
    ("ncat", "ncat"),
    ("masscan", "masscan"),
    ("zmap", "zmap"),
    ("hping3", "hping3"),
    ("p0f", "p0f"),
    ("scapy", "python3-scapy"),
    ("tcpdump", "tcpdump"),
    ("ethtool", "ethtool"),
    ("nsenter", "util-linux"),
    ("mkfs.ext4", "e2fsprogs"),
    ("systemd-analyze", "systemd"),
    ("adduser", "adduser"),
    ("ping", "iputils-ping"),
    ("nft", "nftables"),
    ("jq", "jq"),
    ("curl", "curl"),
    ("tmux", "tmux"),
    ("logrotate", "logrotate"),
    ("zsh", "zsh"),
    ("fish", "fish"),
    ("ssh", "openssh-client"),
    ("aiosmtpd", "python3-aiosmtpd"),
    ("openssl", "openssl"),
];

/// Programs for the bench, and their packages.
const RIVALS: [(&str, &str); 2] = [("xdp-filter", "xdp-tools"), ("nft", "nftables")];

/// Programs for booting other kernels, and their packages.
const VM: [(&str, &str); 5] = [
    ("busybox", "busybox-static"),
    ("xz", "xz-utils"),
    ("wg", "wireguard-tools"),
    ("teamnl", "libteam-utils"),
    ("keepalived", "keepalived"),
];

/// The emulator for each processor, and its package.
const EMULATORS: [(&str, &str); 2] =
    [("qemu-system-x86_64", "qemu-system-x86"), ("qemu-system-aarch64", "qemu-system-arm")];

/// What fetches the server for tests of fleets.
const FLEET: [(&str, &str); 1] = [("pip3", "python3-pip")];

/// Programs that run the image and the role, and their packages.
const DEPLOYMENTS: [(&str, &str); 6] = [
    ("podman", "podman"),
    ("crun", "crun"),
    ("ansible-playbook", "ansible-core"),
    ("ansible-lint", "ansible-lint"),
    ("apt-ftparchive", "apt-utils"),
    ("pip3", "python3-pip"),
];

/// The program that makes Debian's base systems, and its package.
const TREES: [(&str, &str); 1] = [("debootstrap", "debootstrap")];

/// Programs that make a repository, and their packages.
const REPOSITORY: [(&str, &str); 3] = [("apt-ftparchive", "apt-utils"), ("gpg", "gpg"), ("xz", "xz-utils")];

/// A browser for the report, and its package.
const BROWSER: [(&str, &str); 2] = [("chromium", "chromium"), ("fc-list", "fontconfig")];

/// Installs a browser, if it is missing.
pub(super) fn install_browser() -> Result<()> {
    install_missing_of(&BROWSER)
}

/// Installs the packages of missing programs.
pub(super) fn install_missing() -> Result<()> {
    install_missing_of(&NEEDED)
}

/// Installs the packages of missing programs for the bench.
pub(super) fn install_missing_rivals() -> Result<()> {
    install_missing_of(&RIVALS)
}

/// Installs the packages of missing programs that run the deployments.
pub(super) fn install_missing_of_deployments() -> Result<()> {
    install_missing_of(&DEPLOYMENTS)
}

/// Installs what fetches the server for tests of fleets.
pub(super) fn install_missing_of_fleet() -> Result<()> {
    install_missing_of(&FLEET)
}

/// Installs debootstrap.
pub(super) fn install_missing_of_trees() -> Result<()> {
    install_missing_of(&TREES)
}

/// Installs the packages of missing programs that make a repository.
pub(super) fn install_missing_of_repository() -> Result<()> {
    install_missing_of(&REPOSITORY)
}

/// Installs the packages of missing programs for other kernels on a processor.
pub(super) fn install_missing_of_vm(target: Target) -> Result<()> {
    let emulator = EMULATORS.iter().filter(|(program, _)| program.ends_with(target.rust()));
    install_missing_of(&VM.iter().chain(emulator).copied().collect::<Vec<_>>())
}

/// Installs Debian's cross compiler, if it is missing.
pub(super) fn install_missing_compiler(arch: Arch) -> Result<()> {
    install_missing_of(&[(&format!("{}-gcc", arch.triplet()), &arch.cross_compiler())])
}

fn install_missing_of(programs: &[(&str, &str)]) -> Result<()> {
    let missing = programs.iter().filter(|(program, _)| shell::find(program).is_none());
    let missing: Vec<&str> = missing.map(|(_, package)| *package).collect();
    if missing.is_empty() { Ok(()) } else { install(&missing) }
}

/// Installs Debian packages. Without root it reports the missing ones.
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
