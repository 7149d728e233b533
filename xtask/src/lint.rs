//! `cargo xtask lint`: formatting, lints, dependencies and the list of unsafe code.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{build_ebpf, paths, setup, shell, unsafety};

/// Runs all checks, up to the first failure.
pub(crate) fn run() -> Result<()> {
    let (toolchain, linker) = setup::build()?;
    build_ebpf::run()?;
    shell::step("formatting");
    shell::run(Command::new("cargo").current_dir(paths::root()).args(["fmt", "--all", "--check"]))?;
    // Debian's toolchain has no clippy; the compiler's lints still apply.
    let has_clippy = toolchain.cargo.with_file_name("cargo-clippy").exists();
    let verb = if has_clippy { "clippy" } else { "check" };
    shell::step(&format!("{verb} for the kernel program"));
    let mut cargo = build_ebpf::cargo(&toolchain, &linker, verb);
    let flags = cargo.get_envs().find(|(name, _)| *name == "RUSTFLAGS").and_then(|(_, value)| value);
    let flags = format!("{} -D warnings", flags.unwrap_or_default().to_string_lossy());
    shell::run(cargo.args(["--quiet", "--release"]).env("RUSTFLAGS", flags))?;
    dependencies()?;
    shell::step("the list of unsafe code");
    unsafety::check()?;
    // Last, because cargo blocks other builds meanwhile.
    shell::step("clippy for the host");
    let host = ["clippy", "--quiet", "--all-targets", "--", "-D", "warnings"];
    shell::run(Command::new("cargo").current_dir(paths::root()).args(host))
}

/// Checks licences, duplicates and origins of all dependencies, and advisories if the list is available.
fn dependencies() -> Result<()> {
    shell::step("dependencies: licences, duplicates, origins");
    let deny = setup::deny::find_or_install()?;
    let check = |what: &[&str]| {
        let mut command = Command::new(&deny);
        command
            .current_dir(paths::root())
            .args(["--log-level", "error", "check", "--hide-inclusion-graph"])
            .args(what);
        command
    };
    shell::run(&mut check(&["licenses", "bans", "sources"]))?;
    shell::step("dependencies: advisories");
    let output = check(&["advisories"]).output().with_context(|| deny.display().to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("failed to fetch advisory database") {
        shell::step("advisories were not checked: their list can't be fetched from here");
        return Ok(());
    }
    ensure!(output.status.success(), "{said}");
    Ok(())
}
