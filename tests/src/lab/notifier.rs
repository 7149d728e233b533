//! `portsentry-notify`, as a user without privileges.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use super::{Log, Portsentry, Said, binary, said::said};

/// The notifier's user and group.
pub const NOTIFIER: u32 = 4343;

/// A running notifier; killed when dropped.
#[derive(Debug)]
pub struct Notifier {
    child: Child,
    /// What it prints.
    pub log: Log,
}

impl Notifier {
    /// Its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        // The process may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Portsentry<'_> {
    /// Allows the notifier to follow events.
    #[must_use]
    pub fn with_notifier(self) -> Self {
        self.with("CONTROL_GROUP", &NOTIFIER.to_string())
    }

    /// Writes the notifier's configuration: `channels`, after the settings for this lab.
    pub fn write_notify(&self, channels: &str) -> PathBuf {
        let files = self.lab().files();
        let (spool, path) = (files.join("spool"), files.join("notify.conf"));
        fs::set_permissions(files, Permissions::from_mode(0o755)).expect("a mode");
        fs::create_dir_all(&spool).expect("a directory");
        let socket = self.setting("CONTROL_SOCKET");
        let text = format!(
            "CONTROL_SOCKET=\"{socket}\"\nSPOOL_DIRECTORY=\"{}\"\nHOST_NAME=\"web1\"\n{channels}",
            spool.display()
        );
        fs::write(&path, text).expect("a configuration file");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("a mode");
        for path in [&spool, &path] {
            chown(path, Some(NOTIFIER), Some(NOTIFIER)).expect("an owner");
        }
        path
    }

    /// Starts the notifier with the configuration that was written.
    pub fn start_notifier(&self) -> Notifier {
        let mut command = self.notifier(&[]);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the notifier starts");
        let log = Log::default();
        log.follow(child.stdout.take().expect("a pipe"));
        log.follow(child.stderr.take().expect("a pipe"));
        Notifier { child, log }
    }

    /// Runs the notifier with these words until it ends.
    pub fn notify(&self, words: &[&str]) -> Said {
        said(self.notifier(words))
    }

    /// Returns the notifier's command, as its user.
    pub fn notifier(&self, words: &[&str]) -> Command {
        let files = self.lab().files();
        let program = files.join("portsentry-notify");
        if !program.exists() {
            // As other programs that a test runs are copied.
            let own = binary().with_file_name("portsentry-notify");
            let copied = Command::new("cp").arg(own).arg(&program).status();
            assert!(copied.is_ok_and(|copied| copied.success()), "run `cargo build -p portsentry-notify`");
        }
        let user = NOTIFIER.to_string();
        let mut command = self.lab().host.command("setpriv");
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--bounding-set=-all", "--"]);
        command.arg(program).arg("--file").arg(files.join("notify.conf")).args(words);
        command
    }
}
