//! A Rust toolchain with the sources of `core`. No toolchain includes `core` compiled for BPF.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::packages;
use crate::{paths, shell};

/// Path of the standard library's sources below the sysroot.
const SOURCES: &str = "lib/rustlib/src/rust/library";
/// Debian's toolchains, newest first: the packages of the compiler, cargo and the sources.
const DEBIAN: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// A toolchain for the kernel program.
#[derive(Debug)]
pub(crate) struct Toolchain {
    /// Its compiler.
    pub(crate) rustc: PathBuf,
    /// Its cargo.
    pub(crate) cargo: PathBuf,
    /// Its LLVM library, which reads the version of bitcode that the compiler writes.
    pub(crate) llvm: PathBuf,
}

impl Toolchain {
    /// Returns a toolchain. Installs rustup's component or Debian's packages if necessary.
    pub(crate) fn find_or_install() -> Result<Self> {
        if let Some(found) = Self::find() {
            return Ok(found);
        }
        if shell::find("rustup").is_some() {
            shell::step("fetching the sources of Rust's core library with rustup");
            // Fails if rustup's servers can't be reached. Then Debian's packages are used.
            let _ = Command::new("timeout").args(["60", "rustup", "component", "add", "rust-src"]).status();
            if let Some(found) = Self::find() {
                return Ok(found);
            }
        }
        if shell::find("apt-get").is_some() && shell::is_root() {
            packages::install(&DEBIAN)?;
        }
        Self::find().with_context(|| {
            format!(
                "no Rust toolchain here has the sources of the core library: run `rustup component add rust-src`, \
                 or on Debian, as root: apt-get install {}",
                DEBIAN.join(" ")
            )
        })
    }

    fn find() -> Option<Self> {
        let rustup = rustup_toolchains().into_iter().map(|root| (root.join("bin"), root));
        let debian = std::iter::once((PathBuf::from("/usr/bin"), PathBuf::from("/usr")));
        rustup.chain(debian).find_map(|(programs, root)| Self::at(&programs, &root).ok())
    }

    fn at(programs: &Path, root: &Path) -> Result<Self> {
        let (rustc, cargo) = (programs.join("rustc"), programs.join("cargo"));
        if !root.join(SOURCES).is_dir() || !rustc.exists() || !cargo.exists() {
            bail!("{} has no compiler with sources", root.display());
        }
        let version = shell::output(Command::new(&rustc).arg("-vV"))?;
        let field = |name: &str| version.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let host = field("host:").context("rustc names no host")?;
        let major = field("LLVM version:").and_then(|version| version.split('.').next());
        let major = major.context("rustc names no LLVM version")?;
        let folders = [root.join("lib"), root.join("lib").join(triplet(host)), root.join("lib64")];
        let llvm = folders.iter().find_map(|folder| llvm_in(folder, major));
        Ok(Self { rustc, cargo, llvm: llvm.context("its LLVM library is missing")? })
    }

    /// Returns a directory in which bpf-linker finds only this toolchain's libLLVM; it takes the first that it
    /// finds. The library has another name there, because the compiler would load one of its own name.
    pub(crate) fn llvm_folder(&self) -> Result<PathBuf> {
        let folder = paths::tools().join("llvm");
        let link = folder.join("libLLVM-for-bpf-linker.so");
        if fs::read_link(&link).is_ok_and(|target| target == self.llvm) {
            return Ok(folder);
        }
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        std::os::unix::fs::symlink(&self.llvm, &link)
            .with_context(|| format!("linking {}", link.display()))?;
        Ok(folder)
    }
}

/// Returns the sysroots of rustup's toolchains, the active one first.
fn rustup_toolchains() -> Vec<PathBuf> {
    let active = shell::output(Command::new("rustc").args(["--print", "sysroot"])).ok();
    let all = shell::output(Command::new("rustup").args(["toolchain", "list", "-v"])).unwrap_or_default();
    let all =
        all.lines().filter_map(|line| line.split_whitespace().last()).filter(|word| word.starts_with('/'));
    active.iter().map(|text| PathBuf::from(text.trim())).chain(all.map(PathBuf::from)).collect()
}

/// Returns Debian's multiarch name for a host such as `x86_64-unknown-linux-gnu`.
fn triplet(host: &str) -> String {
    let architecture = host.split('-').next().unwrap_or_default();
    format!("{architecture}-linux-gnu")
}

/// Returns the library of LLVM's version `major` in `folder`: the file itself, not a linker script.
fn llvm_in(folder: &Path, major: &str) -> Option<PathBuf> {
    let files = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let of_version = files.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&format!("libLLVM.so.{major}")) || name.starts_with(&format!("libLLVM-{major}"))
    });
    let real = of_version.filter_map(|path| path.canonicalize().ok());
    real.max_by_key(|path| path.metadata().map_or(0, |file| file.len()))
}
