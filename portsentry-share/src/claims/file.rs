//! The file of claims.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use portsentry::sink::update;
use serde::{Deserialize, Serialize};

use super::claim::{Claim, Heard, Withdrawn};
use crate::log::LOG;

/// Maximum size in bytes: more than the largest number of claims and withdrawals needs.
const LARGEST: u64 = 128 << 20;
/// The mode of a new file.
const MODE: u32 = 0o600;

type Known = BTreeMap<String, Claim>;

#[derive(Serialize)]
struct Written<'a> {
    known: &'a Known,
    withdrawn: &'a Withdrawn,
    heard: &'a Heard,
}

/// The file's contents.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Kept {
    /// The claims.
    pub known: Known,
    /// The withdrawn claims, until their ends.
    pub withdrawn: Withdrawn,
    /// When each claim was made first and last.
    #[serde(default)]
    pub heard: Heard,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Read {
    Whole(Kept),
    // Earlier versions wrote nothing else.
    Known(Known),
}

/// Reads the claims, and what has been withdrawn. Without a file there are none.
pub(super) fn read(path: &Path) -> Kept {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut text));
    match read {
        Ok(_) if text.len() as u64 <= LARGEST => {}
        Ok(_) => {
            LOG.warning(&format!(
                "{}: larger than {} MiB; its blocks begin anew",
                path.display(),
                LARGEST >> 20
            ));
            return Kept::default();
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Kept::default(),
        Err(error) => {
            LOG.warning(&format!("{}: {error}", path.display()));
            return Kept::default();
        }
    }
    match serde_json::from_slice(&text) {
        Ok(Read::Whole(kept)) => kept,
        Ok(Read::Known(known)) => Kept { known, ..Kept::default() },
        Err(error) => {
            LOG.warning(&format!("{}: {error}; its blocks begin anew", path.display()));
            Kept::default()
        }
    }
}

/// Writes the claims and what has been withdrawn, as a whole or not at all.
pub(super) fn write(
    path: &Path,
    (known, withdrawn, heard): (&Known, &Withdrawn, &Heard),
) -> Result<(), String> {
    let text = serde_json::to_vec(&Written { known, withdrawn, heard })
        .map_err(|error| format!("{}: {error}", path.display()))?;
    update(path, MODE, |_| Some(text.clone())).map_err(|error| error.to_string())
}
