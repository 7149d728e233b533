//! Whether somebody else has changed a file. It must not read it.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::Path,
};

/// What tells one state of a file from the next; `None` for no file.
type Stamp = Option<(u64, u64, u64, i64, i64, i64, i64)>;

/// Watches one file by looking at it now and then, as a file may be replaced, rotated, or on a network.
#[derive(Debug)]
pub struct Watch {
    known: Stamp,
    last: Stamp,
}

impl Watch {
    /// Takes the file as it is for known.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        let now = stamp(path);
        Self { known: now, last: now }
    }

    /// Whether the file is not as known, and has been left alone since the last look: an editor that is still
    /// writing must not be taken for somebody who deletes lines.
    pub fn has_changed(&mut self, path: &Path) -> bool {
        let now = stamp(path);
        let is_settled = now == self.last;
        self.last = now;
        is_settled && now != self.known
    }

    /// Takes the file as it is for known.
    pub fn know(&mut self, path: &Path) {
        *self = Self::new(path);
    }
}

fn stamp(path: &Path) -> Stamp {
    let identity = |file: Metadata| {
        (file.dev(), file.ino(), file.len(), file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec())
    };
    fs::metadata(path).ok().map(identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_once_it_has_settled() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mut watch = Watch::new(&path);
        assert!(!watch.has_changed(&path));
        fs::write(&path, "a").unwrap();
        assert!(!watch.has_changed(&path));
        fs::write(&path, "ab").unwrap();
        assert!(!watch.has_changed(&path));
        assert!(watch.has_changed(&path));
        assert!(watch.has_changed(&path));
        watch.know(&path);
        assert!(!watch.has_changed(&path));
        fs::remove_file(&path).unwrap();
        assert!(!watch.has_changed(&path));
        assert!(watch.has_changed(&path));
    }
}
