//! Installs missing dependencies for building and testing.

mod apt;
mod cross;
pub(crate) mod deb;
pub(crate) mod deny;
mod install;
mod linker;
mod nats;
mod packages;
pub(crate) mod toolchain;

use std::{path::Path, process::Command};

use anyhow::{Result, bail};

use crate::{arch::Target, paths, shell};

pub(crate) use apt::{Lists, fetch, search, unpack};
pub(crate) use cross::cross;
use install::install;
pub(crate) use linker::Linker;

pub(crate) use toolchain::Toolchain;

/// Installs everything: `cargo xtask setup`.
pub(crate) fn run() -> Result<()> {
    build()?;
    scan()?;
    fleet()
}

/// Installs the dependencies for building the kernel program.
pub(crate) fn build() -> Result<(Toolchain, Linker)> {
    let toolchain = Toolchain::find_or_install()?;
    let linker = Linker::find_or_install(&toolchain)?;
    Ok((toolchain, linker))
}

/// Sets up root, bpffs and the scanners for tests with the daemon.
pub(crate) fn scan() -> Result<()> {
    root("this")?;
    bpffs()?;
    packages::install_missing()
}

/// Fetches the server for tests of fleets.
pub(crate) fn fleet() -> Result<()> {
    packages::install_missing_of_fleet()?;
    nats::fetch()
}

/// Installs the programs that the bench compares with. Reports unavailable ones.
pub(crate) fn bench() -> Result<()> {
    scan()?;
    for had in
        [packages::install_missing_rivals(), unpack("portsentry", Target::default(), &paths::classic())]
    {
        if let Err(error) = had {
            shell::step(&format!("missing programs won't be measured: {error:#}"));
        }
    }
    Ok(())
}

/// Installs the tools that check and run the deployments: from Debian, and `kubernetes-validate` from `PyPI`.
pub(crate) fn deployments() -> Result<()> {
    packages::install_missing_of_deployments()?;
    let tools = paths::tools().join("kubernetes");
    if tools.join("bin/kubernetes-validate").exists() {
        return Ok(());
    }
    shell::step("installing kubernetes-validate");
    let mut pip = Command::new("pip3");
    pip.args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--break-system-packages",
        "--root-user-action=ignore",
    ]);
    shell::run(pip.arg("--target").arg(&tools).arg("kubernetes-validate==1.37.0"))
}

/// Fetches BIRD, and a library that may not be installed.
pub(crate) fn bird() -> Result<()> {
    for (package, name) in [("bird2", "bird"), ("libssh-gcrypt-4", "libssh")] {
        unpack(package, Target::default(), &paths::tools().join(name))?;
    }
    Ok(())
}

/// Installs debootstrap.
pub(crate) fn debootstrap() -> Result<()> {
    packages::install_missing_of_trees()
}

/// Installs the programs that make a repository.
pub(crate) fn repository() -> Result<()> {
    packages::install_missing_of_repository()
}

/// Installs the dependencies for booting other kernels on a processor.
pub(crate) fn vm(target: Target) -> Result<()> {
    packages::install_missing()?;
    packages::install_missing_of_vm(target)
}

/// Installs a browser.
pub(crate) fn browser() -> Result<()> {
    packages::install_browser()
}

/// Returns an error unless this process is root.
pub(crate) fn root(what: &str) -> Result<()> {
    if !shell::is_root() {
        bail!("{what} loads programs into the kernel and makes network namespaces: run it as root");
    }
    Ok(())
}

/// Mounts bpffs unless it is mounted.
pub(crate) fn bpffs() -> Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    if mounts.lines().any(|line| line.split(' ').nth(1) == Some("/sys/fs/bpf")) {
        return Ok(());
    }
    if !Path::new("/sys/fs/bpf").exists() {
        bail!("this kernel has no /sys/fs/bpf: it needs CONFIG_BPF_SYSCALL=y");
    }
    shell::step("mounting bpffs on /sys/fs/bpf");
    shell::run(Command::new("mount").args(["-t", "bpf", "bpf", "/sys/fs/bpf"]))
}
