//! The file of claims.

use std::{collections::BTreeMap, fs, io, path::Path};

use super::claim::Claim;
use crate::log::LOG;

/// Reads the claims. Without a file there are none.
pub(super) fn read(path: &Path) -> BTreeMap<String, Claim> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return BTreeMap::new(),
        Err(error) => {
            LOG.warning(&format!("{}: {error}", path.display()));
            return BTreeMap::new();
        }
    };
    serde_json::from_slice(&text).unwrap_or_else(|error| {
        LOG.warning(&format!("{}: {error}; its blocks begin anew", path.display()));
        BTreeMap::new()
    })
}

/// Writes the claims, as a whole or not at all.
pub(super) fn write(path: &Path, claims: &BTreeMap<String, Claim>) -> Result<(), String> {
    let new = path.with_extension("new");
    let written = serde_json::to_vec(claims)
        .map_err(io::Error::other)
        .and_then(|text| fs::write(&new, text))
        .and_then(|()| fs::rename(&new, path));
    written.map_err(|error| format!("{}: {error}", path.display()))
}
