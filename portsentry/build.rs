//! Puts the kernel program, which `cargo xtask build-ebpf` makes, into the daemon.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::SystemTime,
};

/// Names another object file than the one that xtask makes.
const OVERRIDE: &str = "PORTSENTRY_EBPF_OBJECT";

fn main() -> ExitCode {
    // Asked for now: a copied checkout runs this program as the other one has built it.
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("..");
    let object = env::var_os(OVERRIDE).map_or_else(|| root.join("target/bpf/portsentry.o"), PathBuf::from);
    println!("cargo::rerun-if-env-changed={OVERRIDE}");
    println!("cargo::rerun-if-changed={}", object.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("portsentry.o");
    if let Err(error) = fs::copy(&object, out) {
        println!("cargo::error=the kernel program {}: {error}", object.display());
        println!("cargo::error=run `cargo xtask build-ebpf` first");
        return ExitCode::FAILURE;
    }
    let sources = ["portsentry-ebpf/src", "portsentry-common/src"].map(|folder| root.join(folder));
    for folder in &sources {
        println!("cargo::rerun-if-changed={}", folder.display());
    }
    let newest = sources.iter().filter_map(|folder| newest(folder).ok()).max();
    let built = fs::metadata(object.with_extension("built")).and_then(|built| built.modified()).ok();
    if built.is_some() && newest > built {
        println!("cargo::warning=the kernel program is older than its sources: run `cargo xtask build-ebpf`");
    }
    ExitCode::SUCCESS
}

/// When the newest file below `folder` was changed.
fn newest(folder: &Path) -> io::Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let changed = if entry.file_type()?.is_dir() {
            self::newest(&entry.path())?
        } else {
            entry.metadata()?.modified()?
        };
        newest = newest.max(changed);
    }
    Ok(newest)
}
