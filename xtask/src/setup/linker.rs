//! bpf-linker, which turns bitcode into a BPF object.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use super::{Toolchain, install};
use crate::{paths, shell};

/// The last version that needs no LLVM development files: it loads the compiler's LLVM at run time.
const VERSION: &str = "0.10.3";

/// The linker.
#[derive(Debug)]
pub(crate) struct Linker {
    /// The program.
    pub(crate) program: PathBuf,
    /// The directory with the only LLVM that it may load.
    pub(crate) llvm: PathBuf,
}

impl Linker {
    /// Returns the linker, after building it if necessary.
    pub(crate) fn find_or_install(toolchain: &Toolchain) -> Result<Self> {
        let llvm = toolchain.llvm_folder()?;
        let own = paths::tools().join("bin/bpf-linker");
        let candidates = [Some(own.clone()), shell::find("bpf-linker")];
        for program in candidates.into_iter().flatten().filter(|program| program.exists()) {
            let linker = Self { program, llvm: llvm.clone() };
            if linker.is_right() {
                return Ok(linker);
            }
        }
        install("bpf-linker", VERSION)?;
        Ok(Self { program: own, llvm })
    }

    fn is_right(&self) -> bool {
        shell::is_version(Command::new(&self.program).env("LD_LIBRARY_PATH", &self.llvm), VERSION)
    }
}
