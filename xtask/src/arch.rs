//! Processor architectures: this machine's, and others that are cross-built with Debian's tools.

use std::{env::consts::ARCH, path::PathBuf, process::Command};

use clap::ValueEnum;

use crate::paths;

/// An architecture, under Debian's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arch {
    /// x86-64
    Amd64,
    /// 64-bit Arm
    Arm64,
}

impl Arch {
    /// Debian's name.
    pub(crate) fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The compiler's name, which is also the kernel's.
    pub(crate) fn rust(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// Name of Debian's package of the cross compiler and its C library.
    pub(crate) fn cross_compiler(self) -> String {
        format!("crossbuild-essential-{}", self.debian())
    }

    /// Prefix of the cross tools, and name of Debian's directories of libraries.
    pub(crate) fn triplet(self) -> String {
        format!("{}-linux-gnu", self.rust())
    }

    /// Whether this machine has another one.
    fn is_foreign(self) -> bool {
        self.rust() != ARCH
    }
}

/// What to build for: an architecture other than this machine's, or this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target(Option<Arch>);

impl Target {
    /// Builds for `arch`, or for this machine without one.
    pub(crate) fn new(arch: Option<Arch>) -> Self {
        Self(arch.filter(|arch| arch.is_foreign()))
    }

    /// The other architecture, if it is one.
    pub(crate) fn foreign(self) -> Option<Arch> {
        self.0
    }

    /// The compiler's name of the architecture.
    pub(crate) fn rust(self) -> &'static str {
        self.0.map_or(ARCH, Arch::rust)
    }

    /// Debian's name of the architecture, which is OCI's, too.
    pub(crate) fn debian(self) -> &'static str {
        let known = Arch::value_variants().iter().find(|arch| arch.rust() == self.rust());
        known.map_or(ARCH, |arch| arch.debian())
    }

    /// The compiler's name of the target.
    pub(crate) fn name(self) -> String {
        format!("{}-unknown-linux-gnu", self.rust())
    }

    /// Name of one of binutils.
    pub(crate) fn tool(self, name: &str) -> String {
        self.0.map_or_else(|| name.to_owned(), |arch| format!("{}-{name}", arch.triplet()))
    }

    /// Has a command of cargo build for it. For this machine it changes nothing.
    pub(crate) fn aim(self, cargo: &mut Command) {
        if self.0.is_some() {
            self.link(cargo.args(["--target", &self.name()]));
        }
    }

    /// Has a command of cargo link with the tools of the target.
    pub(crate) fn link(self, cargo: &mut Command) {
        cargo.env(self.variable("LINKER"), self.tool("gcc"));
    }

    /// Returns the name of cargo's variable for a setting of the target.
    pub(crate) fn variable(self, setting: &str) -> String {
        format!("CARGO_TARGET_{}_{setting}", self.name().to_uppercase().replace('-', "_"))
    }

    /// The directory of cargo's profile `name`.
    pub(crate) fn directory(self, profile: &str) -> PathBuf {
        let target = paths::target();
        self.0.map_or_else(|| target.clone(), |_| target.join(self.name())).join(profile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_architecture_has_its_own_tools_and_this_machines_has_none() {
        let other = if ARCH == Arch::Arm64.rust() { Arch::Amd64 } else { Arch::Arm64 };
        let own = if other == Arch::Arm64 { Arch::Amd64 } else { Arch::Arm64 };
        assert_eq!(Target::new(Some(own)), Target::default());
        assert_eq!(Target::default().debian(), own.debian());
        let mut cargo = Command::new("cargo");
        Target::default().aim(&mut cargo);
        assert_eq!((cargo.get_args().count(), cargo.get_envs().count()), (0, 0));
        let target = Target::new(Some(other));
        target.aim(&mut cargo);
        assert_eq!(cargo.get_args().collect::<Vec<_>>(), ["--target", &target.name()]);
        assert_eq!(target.tool("strip"), format!("{}-linux-gnu-strip", other.rust()));
        assert_eq!(
            Target::new(Some(Arch::Arm64)).variable("LINKER"),
            "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER"
        );
    }
}
