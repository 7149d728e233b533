//! Debian's base systems, unpacked into directories for tests.

use std::{fs, process::Command};

use anyhow::{Context, Result};

use crate::{paths, setup, shell};

/// The supported versions of Debian.
const VERSIONS: [&str; 2] = ["bookworm", "trixie"];
/// Debian's mirror.
pub(crate) const MIRROR: &str = "http://deb.debian.org/debian";

/// Makes those that are missing.
pub(crate) fn make() -> Result<()> {
    let directory = paths::target().join("trees");
    fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
    for version in VERSIONS {
        let tree = directory.join(version);
        if tree.exists() {
            continue;
        }
        setup::debootstrap()?;
        shell::step(&format!("making a base system of Debian {version} (a minute or two)"));
        // One that fails is made again the next time.
        let half = directory.join(format!("{version}.half"));
        if half.exists() {
            fs::remove_dir_all(&half).with_context(|| half.display().to_string())?;
        }
        shell::output(Command::new("debootstrap").arg(version).arg(&half).arg(MIRROR))?;
        fs::rename(&half, &tree).with_context(|| tree.display().to_string())?;
    }
    Ok(())
}
