//! A daemon as installed: with its own configuration in `/etc`, files in `/var`, system log at `/dev/log`, and maps
//! in `/sys/fs/bpf`.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Lab, log::PATIENCE, uninterrupted};

/// Mounts the lab's directories over `/etc`, `/var`, `/dev` and `/run`, and runs a command there.
const MOUNTS: &str = r#"
for name in etc var dev run; do mount --bind "$1/$name" "/$name"; done
mount -t bpf bpf /sys/fs/bpf
shift
exec "$@"
"#;

/// Directory of the journal's socket.
const JOURNAL: &str = "/run/systemd/journal";

/// Returns the path in the lab's directory that the daemon sees as `path`.
pub(super) fn place(lab: &Lab, path: &Path) -> PathBuf {
    lab.files().join(path.strip_prefix("/").unwrap_or(path))
}

/// Fills the lab's directory, with `config` and `ignored` as the files in `/etc/portsentry`.
pub(super) fn furnish(lab: &Lab, config: &str, ignored: &str) {
    let place = |path: &str| place(lab, Path::new(path));
    for directory in ["/etc/portsentry", "/var/lib/portsentry", "/var/run/portsentry", "/dev", JOURNAL] {
        fs::create_dir_all(place(directory)).expect("a directory");
    }
    fs::write(place("/etc/portsentry/portsentry.conf"), config).expect("a configuration file");
    fs::write(place("/etc/portsentry/portsentry.ignore"), ignored).expect("an ignore file");
    // A real device would have to be mounted; the daemon only needs a file to write to.
    fs::write(place("/dev/null"), "").expect("a file");
}

/// Returns a command that runs its arguments with the lab's directories mounted.
pub(super) fn command(lab: &Lab) -> Command {
    let mut command = lab.host.command("unshare");
    command.args(["--mount", "sh", "-euc", MOUNTS, "sh"]).arg(lab.files());
    command
}

/// A system log or journal that keeps the messages it receives.
#[derive(Debug)]
pub struct Syslog(UnixDatagram);

impl Lab {
    /// The system log of the daemon installed in this lab.
    pub fn syslog(&self) -> Syslog {
        self.log_at("/dev/log")
    }

    /// The journal of the daemon installed in this lab.
    pub fn journal(&self) -> Syslog {
        self.log_at(&format!("{JOURNAL}/socket"))
    }

    fn log_at(&self, path: &str) -> Syslog {
        let path = place(self, Path::new(path));
        fs::create_dir_all(path.parent().unwrap_or(&path)).expect("a directory");
        let socket = UnixDatagram::bind(path).expect("a socket for a log");
        socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
        Syslog(socket)
    }
}

impl Syslog {
    /// Returns the next line, unchanged.
    pub fn next(&self) -> String {
        let mut bytes = [0; 4096];
        let length = uninterrupted(|| self.0.recv(&mut bytes)).expect("a line for the system log");
        String::from_utf8(bytes[..length].to_vec()).expect("text")
    }

    /// Waits for the next line that contains `text`, and returns it.
    pub fn wait_for(&self, text: &str) -> String {
        loop {
            let line = self.next();
            if line.contains(text) {
                return line;
            }
        }
    }
}
