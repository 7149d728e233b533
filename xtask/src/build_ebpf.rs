//! `cargo xtask build-ebpf`: the kernel program.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{
    paths,
    setup::{self, Linker, Toolchain},
    shell,
};

const TARGET: &str = "bpfel-unknown-none";

/// Builds the object, and copies it to the path where the daemon's build looks for it.
pub(crate) fn run() -> Result<PathBuf> {
    let (toolchain, linker) = setup::build()?;
    shell::step("building the kernel program");
    shell::run(cargo(&toolchain, &linker, "build").args(["--quiet", "--release"]))?;
    publish()
}

/// Returns the toolchain's cargo, set up for the kernel program's package.
pub(crate) fn cargo(toolchain: &Toolchain, linker: &Linker, verb: &str) -> Command {
    let flags = format!(
        "--cfg bpf_target_arch=\"{}\" -C target-cpu=v3 -C debuginfo=2 -C linker={} -C link-arg=--btf",
        std::env::consts::ARCH,
        linker.program.display(),
    );
    let mut command = Command::new(&toolchain.cargo);
    command
        .current_dir(paths::root())
        .args([verb, "--package", "portsentry-ebpf", "-Z", "build-std=core", "--target", TARGET])
        .arg("--target-dir")
        .arg(paths::ebpf_target())
        .env("RUSTC", &toolchain.rustc)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("LD_LIBRARY_PATH", &linker.llvm)
        .env("RUSTFLAGS", flags);
    // The outer cargo's variables don't apply to this one.
    for variable in
        ["RUSTUP_TOOLCHAIN", "CARGO", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER", "CARGO_TARGET_DIR"]
    {
        command.env_remove(variable);
    }
    command
}

/// Replaces the published object only if the built one differs, because a new modification time causes rebuilds.
fn publish() -> Result<PathBuf> {
    let built = paths::ebpf_target().join(TARGET).join("release/portsentry-ebpf");
    let bytes = fs::read(&built).with_context(|| format!("reading {}", built.display()))?;
    let object = paths::object();
    // An unchanged object keeps its modification time. This file's time shows that the object is up to date.
    fs::write(object.with_extension("built"), b"").context("noting the time of the build")?;
    if fs::read(&object).is_ok_and(|old| old == bytes) {
        return Ok(object);
    }
    let new = object.with_extension("new");
    fs::write(&new, &bytes).with_context(|| format!("writing {}", new.display()))?;
    fs::rename(&new, &object).with_context(|| format!("writing {}", object.display()))?;
    shell::step(&format!("{} is new, {} KiB", object.display(), bytes.len() / 1024));
    Ok(object)
}
