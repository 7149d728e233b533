//! Runs LLVM's fuzzer on the target in `FUZZ_TARGET`.
//!
//! The target's seeds are first written to the directory in `FUZZ_SEEDS`.

#![no_main]

use std::{fs, path::Path, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use portsentry_fuzz::{TARGETS, Target};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let named = TARGETS.iter().find(|target| target.name == name);
    named.unwrap_or_else(|| panic!("FUZZ_TARGET=\"{name}\" is no target"))
});

fuzz_target!(
    init: {
        if let Some(folder) = std::env::var_os("FUZZ_SEEDS") {
            for (number, seed) in (0..).zip((TARGET.seeds)()) {
                let path = Path::new(&folder).join(format!("seed-{number}"));
                fs::write(&path, seed).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            }
        }
    },
    |data: &[u8]| (TARGET.check)(data)
);
