//! Disks of a machine with Debian's base system, which has another processor or runs systemd: the system, and the tests.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};

use super::{
    emulator::Emulator,
    initramfs::Initramfs,
    linux::Linux,
    machine::{Boots, Machine},
};
use crate::{arch::Target, paths, setup, shell, trees::MIRROR};

/// Modules of the disks and their file systems.
pub(super) const MODULES: [&str; 4] = ["virtio_pci", "virtio_blk", "ext4", "overlay"];
/// The first process: loads the modules, mounts the disks, and hands over to a program on them.
const INIT: &str = include_str!("disk.sh");
/// Hands over to the second half of debootstrap, which runs the packages' scripts.
const SECOND_STAGE: &str = include_str!("second_stage.sh");
/// Debian's version.
const VERSION: &str = "bookworm";
/// The packages besides Debian's smallest system: programs that the tests run.
const PACKAGES: &str = "adduser,bpftool,busybox-static,dbus,ethtool,ifupdown,init-system-helpers,iproute2,iputils-ping,kmod,\
                        net-tools,nftables,nmap,procps,systemd,systemd-sysv,udev,util-linux-extra";
/// Size of a disk, most of which is a hole.
const SIZE: &str = "3G";
/// Time limit of the second stage.
const PATIENCE: Duration = Duration::from_mins(40);

/// A disk.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    /// Path of its image.
    image: PathBuf,
    /// Whether changes stay.
    stays: bool,
}

impl Disk {
    /// Makes a disk with the contents of a directory.
    pub(super) fn make(directory: &Path, image: &Path) -> Result<Self> {
        let _ = fs::remove_file(image);
        let mut make = Command::new("mke2fs");
        make.args(["-q", "-F", "-t", "ext4", "-d"]).arg(directory).arg(image).arg(SIZE);
        shell::output(&mut make)?;
        Ok(Self { image: image.into(), stays: false })
    }

    /// Returns a disk with Debian's base system, which is made if it is missing. That of another processor is unpacked here,
    /// and configured in a machine with this kernel.
    pub(super) fn base(target: Target, linux: &Linux) -> Result<Self> {
        let name = format!("debian-{VERSION}-{}", target.debian());
        let image = paths::vm().join(format!("{name}.ext4"));
        if image.exists() {
            return Ok(Self { image, stays: false });
        }
        setup::debootstrap()?;
        let time = if target.foreign().is_some() { "ten minutes" } else { "a minute or two" };
        shell::step(&format!("making a base system of Debian {VERSION} for {} ({time})", target.debian()));
        let tree = tempfile::tempdir_in(paths::vm()).context("a directory for a base system")?;
        let mut debootstrap = Command::new("debootstrap");
        debootstrap.args(target.foreign().map(|_| "--foreign"));
        debootstrap.args(["--variant=minbase", &format!("--arch={}", target.debian())]);
        debootstrap.arg(format!("--include={PACKAGES}")).arg(VERSION).arg(tree.path()).arg(MIRROR);
        shell::output(&mut debootstrap)?;
        fs::create_dir_all(tree.path().join("portsentry")).context("a directory for the tests")?;
        let half = image.with_extension("half");
        if target.foreign().is_some() {
            install(SECOND_STAGE, &tree.path().join("second-stage"))?;
            let disk = Self { stays: true, ..Self::make(tree.path(), &half)? };
            configure(name, disk, linux, target)?;
        } else {
            Self::make(tree.path(), &half)?;
        }
        fs::rename(&half, &image).with_context(|| image.display().to_string())?;
        Ok(Self { image, stays: false })
    }

    /// Plugs the disk in.
    pub(super) fn plug_in(&self, qemu: &mut Command) {
        let snapshot = if self.stays { "off" } else { "on" };
        let image = self.image.display();
        // Nothing on it has to survive this machine's crash.
        qemu.arg("-drive").arg(format!("file={image},format=raw,if=virtio,cache=unsafe,snapshot={snapshot}"));
    }
}

/// Runs the packages' scripts of a base system in a machine.
fn configure(name: String, disk: Disk, linux: &Linux, target: Target) -> Result<()> {
    let log = disk.image.with_extension("log");
    let mut files = initramfs(target, "/second-stage")?;
    linux.add_modules(&mut files, &MODULES)?;
    let initramfs = paths::vm().join(format!("{name}.cpio"));
    files.pack(&initramfs)?;
    let machine = Machine {
        name,
        release: linux.release.clone(),
        kernel: linux.image.clone(),
        initramfs,
        log,
        emulator: Emulator::find_or_fetch(target, None)?,
        cards: None,
        target,
        disks: vec![disk],
        boots: Boots::Once,
    };
    machine.run(false, PATIENCE).map(drop)
}

/// Returns the first file system of a machine that hands over to the program `start` on its disks. Lacks the modules.
pub(super) fn initramfs(target: Target, start: &str) -> Result<Initramfs> {
    let busybox = paths::vm().join(format!("busybox-{}", target.debian()));
    setup::unpack("busybox-static", target, &busybox)?;
    let mut files = Initramfs::default();
    ["/dev", "/proc", "/sys", "/disk"].iter().for_each(|folder| files.folder(folder));
    files.write("/init", INIT.as_bytes());
    files.write("/start", start.as_bytes());
    files.copy(&busybox.join("bin/busybox"), Path::new("/bin/busybox"));
    Ok(files)
}

/// Writes a program.
pub(super) fn install(content: &str, path: &Path) -> Result<()> {
    fs::write(path, content)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .with_context(|| path.display().to_string())
}
