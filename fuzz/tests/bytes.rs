//! The fuzz targets without a fuzzer: seeds, past findings, and random mutations of both.

use std::{fs, path::Path};

use portsentry_fuzz::{TARGETS, Target};

/// Mutations per target.
const CHANGED: usize = 2000;

/// Returns its past findings: the files `findings/NAME-*`.
fn findings(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new("findings");
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("an entry of the findings").path());
    let prefix = format!("{}-", target.name);
    let ours =
        paths.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)));
    ours.map(|path| fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).collect()
}

fn changed(random: &mut fastrand::Rng, inputs: &[Vec<u8>]) -> Vec<u8> {
    let mut input = random.choice(inputs).cloned().unwrap_or_default();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(..=input.len());
        match random.u8(..4) {
            0 => input.truncate(at),
            1 => input.insert(at, random.u8(..)),
            2 => input.splice(at..at, random.choice(inputs).cloned().unwrap_or_default()).for_each(drop),
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << random.u8(..8);
                }
            }
        }
    }
    input
}

#[test]
fn what_must_hold_holds() {
    for target in TARGETS {
        let mut inputs = (target.seeds)();
        assert!(!inputs.is_empty(), "{} has inputs to begin with", target.name);
        inputs.extend(findings(target));
        for input in &inputs {
            (target.check)(input);
        }
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..CHANGED {
            (target.check)(&changed(&mut random, &inputs));
        }
    }
}
