//! `cargo xtask gen-docs`: generates manual pages, completions and the settings reference from the code.

use std::{fs, process::Command};

use anyhow::{Context, Result};

use crate::{paths, shell};

/// Writes them into the tree. A test compares them with the code.
pub(crate) fn run() -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(paths::root());
    shell::run(cargo.args(["run", "--quiet", "--package", "portsentry", "--example", "gen_docs"]))?;
    let mut cargo = Command::new("cargo");
    cargo.current_dir(paths::root());
    let page =
        shell::output(cargo.args(["run", "--quiet", "--package", "portsentry-notify", "--", "--manual"]))?;
    let file = paths::root().join("pkg/man/portsentry-notify.conf.5");
    fs::write(&file, page).with_context(|| file.display().to_string())
}
