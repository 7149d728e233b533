//! A script for KILL commands that records its arguments.

use std::{fs, path::PathBuf};

use super::Lab;

impl Lab {
    /// Creates a script that appends its arguments to a file, one line per call.
    pub fn recorder(&self) -> PathBuf {
        self.program("command", format!("#!/bin/sh\necho \"$*\" >> {}/ran\n", self.files().display()))
    }

    /// Returns the lines that scripts have written to the file `ran`.
    pub fn recorded(&self) -> Vec<String> {
        fs::read_to_string(self.files().join("ran")).unwrap_or_default().lines().map(Into::into).collect()
    }
}
