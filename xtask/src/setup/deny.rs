//! cargo-deny, which checks licences and advisories.

use std::path::PathBuf;

use anyhow::Result;

use super::install;
use crate::{paths, shell};

const VERSION: &str = "0.20.2";

/// Returns cargo-deny's path, after building it if necessary.
pub(crate) fn find_or_install() -> Result<PathBuf> {
    let own = paths::tools().join("bin/cargo-deny");
    if own.exists() {
        return Ok(own);
    }
    if let Some(program) = shell::find("cargo-deny") {
        return Ok(program);
    }
    install("cargo-deny", VERSION)?;
    Ok(own)
}
