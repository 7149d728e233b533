//! `cargo xtask lint`: formatting, lints and licences. It must not change a file.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use cargo_metadata::MetadataCommand;

use crate::{build_ebpf, paths, setup, shell};

/// Licences that a program under MIT or Apache-2.0 may build on.
const PERMISSIVE: [&str; 12] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "0BSD",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "Unlicense",
    "CC0-1.0",
    "BSL-1.0",
];

/// Runs all checks; the first that fails ends it.
pub(crate) fn run() -> Result<()> {
    let (toolchain, linker) = setup::build()?;
    build_ebpf::run()?;
    shell::step("formatting");
    shell::run(Command::new("cargo").current_dir(paths::root()).args(["fmt", "--all", "--check"]))?;
    shell::step("clippy for the host");
    let host = ["clippy", "--quiet", "--all-targets", "--", "-D", "warnings"];
    shell::run(Command::new("cargo").current_dir(paths::root()).args(host))?;
    // Debian's toolchain has no clippy of its own; the compiler's lints still hold.
    let has_clippy = toolchain.cargo.with_file_name("cargo-clippy").exists();
    let verb = if has_clippy { "clippy" } else { "check" };
    shell::step(&format!("{verb} for the kernel program"));
    let mut cargo = build_ebpf::cargo(&toolchain, &linker, verb);
    let flags = cargo.get_envs().find(|(name, _)| *name == "RUSTFLAGS").and_then(|(_, value)| value);
    let flags = format!("{} -D warnings", flags.unwrap_or_default().to_string_lossy());
    shell::run(cargo.args(["--quiet", "--release"]).env("RUSTFLAGS", flags))?;
    licences()
}

/// Every dependency offers a licence that this project can build on.
fn licences() -> Result<()> {
    shell::step("licences");
    let metadata = MetadataCommand::new().current_dir(paths::root()).exec().context("cargo metadata")?;
    let foreign: Vec<String> = metadata
        .packages
        .iter()
        .filter(|package| !is_permissive(package.license.as_deref().unwrap_or_default()))
        .map(|package| format!("{} {}: {:?}", package.name, package.version, package.license))
        .collect();
    ensure!(foreign.is_empty(), "dependencies without a permissive licence:\n{}", foreign.join("\n"));
    Ok(())
}

/// Whether an SPDX expression can be met with permissive licences: one of each group joined by OR.
fn is_permissive(expression: &str) -> bool {
    let plain = expression.replace(['(', ')'], "").replace('/', " OR ");
    plain.split(" AND ").all(|group| group.split(" OR ").any(|licence| PERMISSIVE.contains(&licence.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_must_be_offered_in_every_group() {
        for (expression, expected) in [
            ("MIT", true),
            ("MIT/Apache-2.0", true),
            ("MIT OR GPL-3.0-only", true),
            ("GPL-3.0-only", false),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("MIT AND GPL-2.0-only", false),
            ("", false),
        ] {
            assert_eq!(is_permissive(expression), expected, "{expression}");
        }
    }
}
