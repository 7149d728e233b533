//! Debian packages for the demonstration and the tests.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use anyhow::{Context, Result, bail};

use crate::shell;

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
const VM: [(&str, &str); 4] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("xz", "xz-utils"),
    ("wg", "wireguard-tools"),
];

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

/// Installs the packages of missing programs for other kernels.
pub(super) fn install_missing_of_vm() -> Result<()> {
    install_missing_of(&VM)
}

/// Fetches a Debian package and unpacks it into `directory`. Doesn't install it, so that no service starts.
pub(crate) fn unpack(package: &str, directory: &Path) -> Result<()> {
    if directory.exists() {
        return Ok(());
    }
    let fetched = tempfile::tempdir().context("a directory for a package")?;
    let file = fetched.path().join("package.deb");
    fetch(package, &file)?;
    fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    shell::run(Command::new("dpkg").arg("-x").arg(file).arg(directory))
}

/// Fetches a Debian package as `file`, without installing it.
pub(crate) fn fetch(package: &str, file: &Path) -> Result<()> {
    if file.exists() {
        return Ok(());
    }
    shell::step(&format!("fetching {package}"));
    let fetched = tempfile::tempdir().context("a directory for a package")?;
    // apt drops its privileges to fetch, but the directory belongs to root.
    fs::set_permissions(fetched.path(), fs::Permissions::from_mode(0o777)).context("a directory's mode")?;
    let apt = |words: &[&str]| {
        shell::output(Command::new("apt-get").current_dir(fetched.path()).arg("-qq").args(words))
    };
    let download = ["download", package];
    // An outdated package list names versions that no longer exist.
    apt(&download).or_else(|_| apt(&["update"]).and_then(|_| apt(&download)))?;
    let found = fs::read_dir(fetched.path())?.next().context("a package")??.path();
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    }
    fs::copy(&found, file).map(drop).with_context(|| file.display().to_string())
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
