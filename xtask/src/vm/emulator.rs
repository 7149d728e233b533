//! qemu: this machine's, or a newer one that is fetched.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use super::cards::Model;
use crate::{arch::Target, paths, setup};

/// The newer qemu's packages, and where its firmware is in them.
const PACKAGES: [&str; 3] = ["qemu-system-x86", "qemu-system-data", "seabios"];
const FIRMWARE: [&str; 2] = ["usr/share/qemu", "usr/share/seabios"];

/// An emulator.
pub(super) struct Emulator {
    program: PathBuf,
    /// The directory of a fetched one.
    fetched: Option<PathBuf>,
}

impl Emulator {
    /// Returns the emulator for a machine with such cards. Fetches it if this machine's may be too old.
    pub(super) fn find_or_fetch(target: Target, cards: Option<Model>) -> Result<Self> {
        let name = format!("qemu-system-{}", target.rust());
        if !cards.is_some_and(Model::needs_newer_qemu) {
            return Ok(Self { program: name.into(), fetched: None });
        }
        let directory = paths::tools().join("qemu");
        for package in PACKAGES {
            setup::unpack(package, setup::Lists::Backports, &directory.join(package))?;
        }
        Ok(Self { program: directory.join(PACKAGES[0]).join("usr/bin").join(name), fetched: Some(directory) })
    }

    /// Returns the command that starts it among a machine's surroundings.
    pub(super) fn command(&self, surroundings: Option<Command>) -> Command {
        let mut qemu = match surroundings {
            None => Command::new(&self.program),
            Some(mut surroundings) => {
                surroundings.arg(&self.program);
                surroundings
            }
        };
        if let Some(directory) = &self.fetched {
            // It would load this machine's modules.
            qemu.env("QEMU_MODULE_DIR", directory);
            for (package, firmware) in PACKAGES[1..].iter().zip(FIRMWARE) {
                qemu.arg("-L").arg(directory.join(package).join(firmware));
            }
        }
        qemu
    }
}
