//! Debian's kernels, unpacked but not installed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{initramfs::Initramfs, modules};
use crate::{
    arch::Target,
    paths,
    setup::{self, Lists},
};

/// The series of whatever is newest.
const NEWEST: &str = "newest";

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
    /// Returns the kernel fetched before, or else fetches the newest of this series and flavour: from this machine's lists, or,
    /// if they lack it and for `newest`, from Debian's newest backports.
    pub(super) fn find_or_fetch(series: &str, flavour: &str, target: Target) -> Result<Self> {
        let folder = paths::vm().join(format!("linux-{series}-{flavour}"));
        let image = paths::vm().join(format!("image-{series}-{flavour}"));
        if !folder.exists() {
            let own = if series == NEWEST { None } else { own(series, flavour, target)? };
            if let Some(package) = own {
                setup::unpack(&package, target, &folder)?;
            } else {
                let release = backport(series, flavour)?;
                setup::unpack(&format!("linux-binary-unsigned-{release}"), Lists::Newest, &image)?;
                setup::unpack(&format!("linux-modules-{release}"), Lists::Newest, &folder)?;
            }
        }
        let is_backport = image.exists();
        let place = if is_backport { "usr/lib/modules" } else { "lib/modules" };
        let (release, modules) = only(&folder.join(place))?;
        let image = if is_backport {
            image.join(place).join(&release).join("vmlinuz.unsigned")
        } else {
            folder.join("boot").join(format!("vmlinuz-{release}"))
        };
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

/// Returns the package of a series' newest kernel in this machine's lists, if they have one. Only the unsigned packages can be
/// fetched without the signing template.
fn own(series: &str, flavour: &str, target: Target) -> Result<Option<String>> {
    let names = format!("^linux-image-{}[.][^-]*(-[0-9]+)?-{flavour}-unsigned$", series.replace('.', "[.]"));
    Ok(setup::search(&names, target)?.into_iter().max_by_key(|package| numbers(package)))
}

/// Returns the full name of the newest kernel in Debian's newest backports, of this series or of any (`newest`). From Linux
/// 7.2 on, Debian packs the modules apart from the image.
fn backport(series: &str, flavour: &str) -> Result<String> {
    let series =
        if series == NEWEST { "[0-9.]+".into() } else { format!("{}[.]", series.replace('.', "[.]")) };
    let names = format!("^linux-modules-{series}[^-]*-{flavour}$");
    let newest = setup::search(&names, Lists::Newest)?.into_iter().max_by_key(|package| numbers(package));
    let newest = newest.with_context(|| {
        format!("apt knows no such Linux ({flavour}): enable a release or backports with it")
    })?;
    Ok(newest.trim_start_matches("linux-modules-").to_owned())
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
