//! Paths in the checkout.

use std::{
    env,
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// Returns the checkout in which xtask was called. Cargo reuses the programs of a copied checkout, so they must not
/// contain the path of their build.
pub(crate) fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let here = env::current_dir().unwrap_or_default();
        let root = here.ancestors().find(|folder| folder.join("xtask/Cargo.toml").exists());
        root.unwrap_or(&here).to_path_buf()
    });
    &ROOT
}

/// Returns cargo's target directory for the host.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Returns the directory of tools beside the Rust toolchain.
pub(crate) fn tools() -> PathBuf {
    root().join("target/tools")
}

/// Returns the kernel program's target directory.
pub(crate) fn ebpf_target() -> PathBuf {
    root().join("target/bpf")
}

/// Returns the kernel program's path, where `portsentry/build.rs` looks for it.
pub(crate) fn object() -> PathBuf {
    ebpf_target().join("portsentry.o")
}

/// Returns the optimised daemon.
pub(crate) fn daemon() -> PathBuf {
    target().join("release/portsentry")
}

/// Returns cargo's directory of unoptimised builds.
pub(crate) fn debug() -> PathBuf {
    target().join("debug")
}

/// Returns the directory of kernels and virtual machines.
pub(crate) fn vm() -> PathBuf {
    root().join("target/vm")
}

/// Returns the optimised bench.
pub(crate) fn bench() -> PathBuf {
    target().join("release/portsentry-bench")
}

/// Returns the directory of Debian's `PortSentry` 1.2, unpacked for the bench.
pub(crate) fn classic() -> PathBuf {
    tools().join("portsentry-1.2")
}
