//! Where things are in the checkout.

use std::{
    env,
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// The checkout in which this is called. Cargo takes a copied one's programs for its own, so none may name where it was built.
pub(crate) fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let here = env::current_dir().unwrap_or_default();
        let root = here.ancestors().find(|folder| folder.join("xtask/Cargo.toml").exists());
        root.unwrap_or(&here).to_path_buf()
    });
    &ROOT
}

/// Where cargo builds for the host.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// What is needed to build, check and pack, and isn't part of a Rust toolchain.
pub(crate) fn tools() -> PathBuf {
    root().join("target/tools")
}

/// The kernel program's own target directory.
pub(crate) fn ebpf_target() -> PathBuf {
    root().join("target/bpf")
}

/// The kernel program, where `portsentry/build.rs` looks for it.
pub(crate) fn object() -> PathBuf {
    ebpf_target().join("portsentry.o")
}

/// The optimised daemon.
pub(crate) fn daemon() -> PathBuf {
    target().join("release/portsentry")
}

/// Where cargo puts what it doesn't optimise.
pub(crate) fn debug() -> PathBuf {
    target().join("debug")
}

/// Kernels, and what boots them.
pub(crate) fn vm() -> PathBuf {
    root().join("target/vm")
}

/// The optimised bench.
pub(crate) fn bench() -> PathBuf {
    target().join("release/portsentry-bench")
}

/// Debian's `PortSentry` 1.2, unpacked for the bench.
pub(crate) fn classic() -> PathBuf {
    tools().join("portsentry-1.2")
}
