//! `cargo xtask gen-docs`: generates manual pages, completions and the settings reference from the code.

use std::process::Command;

use anyhow::Result;

use crate::{paths, shell};

/// Writes them into the tree. A test compares them with the code.
pub(crate) fn run() -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(paths::root());
    shell::run(cargo.args(["run", "--quiet", "--package", "portsentry", "--example", "gen_docs"]))
}
