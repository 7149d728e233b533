//! Paths of the files beside the blocked file.

use std::path::{Path, PathBuf};

/// Returns the path of a file beside the `blocked` file.
pub(super) fn beside(blocked: &Path, suffix: &str) -> PathBuf {
    let mut path = blocked.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}
