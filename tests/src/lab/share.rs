//! A companion with ways other than a fleet's servers.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use tempfile::TempDir;

use super::{Log, Namespace, fleet};

/// A companion; killed when dropped.
#[derive(Debug)]
pub struct Share {
    process: fleet::Process,
    /// The directory of its file.
    pub files: TempDir,
}

impl Share {
    /// Starts a companion in a namespace, with these lines in its file, and the daemon's socket.
    pub fn start(namespace: &Namespace, socket: &Path, lines: &str) -> Self {
        let files = TempDir::with_prefix("portsentry-share-").expect("a directory for files");
        let text = format!("SHARE_SOCKET=\"{}\"\n{lines}", socket.display());
        let path = files.path().join("share.conf");
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.expect("share.conf").write_all(text.as_bytes()).expect("share.conf");
        Self { process: run(namespace, &path), files }
    }

    /// Starts it anew with the same files, after killing it.
    pub fn restart(&mut self, namespace: &Namespace) {
        self.process.kill();
        self.process = run(namespace, &self.files.path().join("share.conf"));
    }

    /// Starts `portsentry-share routes` with the same file.
    pub fn routes(&self, namespace: &Namespace) -> fleet::Process {
        let mut command = namespace.command(fleet::program());
        command.arg("--file").arg(self.files.path().join("share.conf")).arg("routes");
        fleet::Process::start(command)
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Its output.
    pub fn log(&self) -> &Log {
        &self.process.log
    }
}

fn run(namespace: &Namespace, file: &Path) -> fleet::Process {
    assert!(fs::exists(fleet::program()).is_ok_and(|exists| exists), "run `cargo build -p portsentry-share`");
    let mut command = namespace.command(fleet::program());
    command.arg("--file").arg(file);
    fleet::Process::start(command)
}
