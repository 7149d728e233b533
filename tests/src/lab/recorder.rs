//! A script for KILL commands that records its arguments.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use super::Lab;

impl Lab {
    /// Creates a script that appends its arguments to a file, one line per call.
    pub fn recorder(&self) -> PathBuf {
        let path = self.files().join("command");
        let text = format!("#!/bin/sh\necho \"$*\" >> {}/ran\n", self.files().display());
        fs::write(&path, text).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a script");
        path
    }

    /// Returns the lines that scripts have written to the file `ran`.
    pub fn recorded(&self) -> Vec<String> {
        fs::read_to_string(self.files().join("ran")).unwrap_or_default().lines().map(Into::into).collect()
    }
}
