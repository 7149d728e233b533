//! `cargo xtask gen-docs`: manual pages, completions and the reference of the settings, made anew from the code.

use std::process::Command;

use anyhow::Result;

use crate::{paths, shell};

/// Writes them into the tree, where a test holds them against the code.
pub(crate) fn run() -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(paths::root());
    shell::run(cargo.args(["run", "--quiet", "--package", "portsentry", "--example", "gen_docs"]))
}
