//! Installs what building and testing take, where it is missing.

pub(crate) mod deb;
pub(crate) mod deny;
mod install;
mod linker;
mod packages;
pub(crate) mod toolchain;

use std::{path::Path, process::Command};

use anyhow::{Result, bail};

use crate::{paths, shell};

use install::install;
pub(crate) use linker::Linker;
pub(crate) use packages::{fetch, unpack};
pub(crate) use toolchain::Toolchain;

/// Everything: `cargo xtask setup`.
pub(crate) fn run() -> Result<()> {
    build()?;
    scan()
}

/// What building the kernel program takes.
pub(crate) fn build() -> Result<(Toolchain, Linker)> {
    let toolchain = Toolchain::find_or_install()?;
    let linker = Linker::find_or_install(&toolchain)?;
    Ok((toolchain, linker))
}

/// What running the daemon and scanning it take: root, bpffs and the scanners.
pub(crate) fn scan() -> Result<()> {
    root("this")?;
    bpffs()?;
    packages::install_missing()
}

/// What is measured beside ours; what can't be had is said and left out.
pub(crate) fn bench() -> Result<()> {
    scan()?;
    for had in [packages::install_missing_rivals(), unpack("portsentry", &paths::classic())] {
        if let Err(error) = had {
            shell::step(&format!("what is missing won't be measured: {error:#}"));
        }
    }
    Ok(())
}

/// What booting other kernels takes, and what is run there.
pub(crate) fn vm() -> Result<()> {
    packages::install_missing()?;
    packages::install_missing_of_vm()
}

/// Fails unless this process is root.
pub(crate) fn root(what: &str) -> Result<()> {
    if !shell::is_root() {
        bail!("{what} loads programs into the kernel and makes network namespaces: run it as root");
    }
    Ok(())
}

/// Mounts bpffs where it isn't.
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
