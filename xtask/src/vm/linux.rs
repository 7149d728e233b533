//! Debian's kernels, unpacked but not installed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{initramfs::Initramfs, modules};
use crate::{arch::Target, paths, setup};

/// A kernel with its modules.
pub(super) struct Linux {
    /// The requested series, such as `6.1`.
    pub(super) series: String,
    /// The full name, as printed by `uname -r`.
    pub(super) release: String,
    /// Path of the image to boot.
    pub(super) image: PathBuf,
    modules: PathBuf,
}

impl Linux {
    /// Returns the kernel fetched before, or else fetches the newest of this series and flavour.
    pub(super) fn find_or_fetch(series: &str, flavour: &str, target: Target) -> Result<Self> {
        let folder = paths::vm().join(format!("linux-{series}-{flavour}"));
        if !folder.exists() {
            setup::unpack(&newest(series, flavour, target)?, target, &folder)?;
        }
        let (release, modules) = only(&folder.join("lib/modules"))?;
        let image = folder.join("boot").join(format!("vmlinuz-{release}"));
        Ok(Self { series: series.into(), release, image, modules: modules.join("kernel") })
    }

    /// Adds the modules in loading order, with those for the machine's devices.
    pub(super) fn add_modules(&self, files: &mut Initramfs, devices: &[&str]) -> Result<()> {
        for (number, module) in modules::read(&self.modules, devices)?.iter().enumerate() {
            files.write(&format!("/portsentry/modules/{number:02}.ko"), module);
        }
        Ok(())
    }
}

/// Returns the package of a series' newest kernel. Only the unsigned packages can be fetched without the signing
/// template.
fn newest(series: &str, flavour: &str, target: Target) -> Result<String> {
    let names = format!("^linux-image-{}[.][^-]*(-[0-9]+)?-{flavour}-unsigned$", series.replace('.', "[.]"));
    let newest = setup::search(&names, target)?.into_iter().max_by_key(|package| numbers(package));
    newest.with_context(|| {
        format!("apt knows no Linux {series} ({flavour}): enable a release or backports with it")
    })
}

/// Returns the numbers in a name, for comparing versions.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|character: char| !character.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

/// Returns the name and path of a folder's only entry.
fn only(folder: &Path) -> Result<(String, PathBuf)> {
    let read = || fs::read_dir(folder)?.next().transpose();
    let entry = read().ok().flatten().with_context(|| format!("nothing is in {}", folder.display()))?;
    Ok((entry.file_name().to_string_lossy().into_owned(), entry.path()))
}
