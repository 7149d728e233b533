//! cargo-deb, which builds Debian packages.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use super::install;
use crate::{paths, shell};

const VERSION: &str = "3.8.0";

/// Returns cargo-deb's path, after building it if necessary.
pub(crate) fn find_or_install() -> Result<PathBuf> {
    let own = paths::tools().join("bin/cargo-deb");
    if !shell::is_version(&mut Command::new(&own), VERSION) {
        install("cargo-deb", VERSION)?;
    }
    Ok(own)
}
