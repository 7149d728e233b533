//! A real BIRD, with one neighbour.

use std::{fs, process::Command};

use tempfile::TempDir;

use super::{Namespace, fleet::Process};
use crate::document::root;

/// A running BIRD; killed when dropped.
#[derive(Debug)]
pub struct Bird {
    _process: Process,
    _files: TempDir,
}

impl Bird {
    /// Starts it in a namespace, with this configuration.
    pub fn start(namespace: &Namespace, configuration: &str) -> Self {
        let files = TempDir::with_prefix("portsentry-bird-").expect("a directory for files");
        let path = |name: &str| files.path().join(name);
        fs::write(path("bird.conf"), configuration).expect("bird.conf");
        let tools = root().join("target/tools");
        let program = fs::canonicalize(tools.join("bird/usr/sbin/bird")).expect("run `cargo xtask setup`");
        let mut command: Command = namespace.command(program);
        // Its library may not be installed.
        if let Ok(libraries) = fs::canonicalize(tools.join("libssh/usr/lib/x86_64-linux-gnu")) {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command.arg("-f").arg("-c").arg(path("bird.conf")).arg("-s").arg(path("bird.ctl"));
        Self { _process: Process::start(command), _files: files }
    }
}
