//! Embeds the kernel program, built by `cargo xtask build-ebpf`, in the daemon.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::SystemTime,
};

/// Environment variable with the path of an object file to use instead of xtask's.
const OVERRIDE: &str = "PORTSENTRY_EBPF_OBJECT";

fn main() -> ExitCode {
    // Read at run time, because a copied checkout runs this program as built in the original.
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

/// Returns the modification time of the newest file below `folder`.
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
