//! cargo-deny, which knows licences and advisories. It must not say what is allowed: `deny.toml` does.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use crate::{paths, shell};

const VERSION: &str = "0.20.2";

/// Finds it, or builds it.
pub(crate) fn find_or_install() -> Result<PathBuf> {
    let own = paths::tools().join("bin/cargo-deny");
    if own.exists() {
        return Ok(own);
    }
    if let Some(program) = shell::find("cargo-deny") {
        return Ok(program);
    }
    shell::step(&format!("building cargo-deny {VERSION} (five minutes on two cores)"));
    let mut cargo = Command::new("cargo");
    cargo
        .args(["install", "--quiet", "cargo-deny", "--version", VERSION, "--locked", "--root"])
        .arg(paths::tools())
        .current_dir(paths::root())
        .env_remove("CARGO_TARGET_DIR");
    shell::run(&mut cargo)?;
    Ok(own)
}
