//! A daemon as it is installed: with its configuration in `/etc`, its files in `/var`, the system log at `/dev/log`,
//! and its maps in `/sys/fs/bpf`, each its own.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Lab, log::PATIENCE, uninterrupted};

/// What a fresh machine has, all of it in the lab's directory, and the daemon in the midst of it.
const MOUNTS: &str = r#"
for name in etc var dev run; do mount --bind "$1/$name" "/$name"; done
mount -t bpf bpf /sys/fs/bpf
shift
exec "$@"
"#;

/// Where systemd's journal listens.
const JOURNAL: &str = "/run/systemd/journal";

/// The directory of the lab that the daemon takes for `path`.
pub(super) fn place(lab: &Lab, path: &Path) -> PathBuf {
    lab.files().join(path.strip_prefix("/").unwrap_or(path))
}

/// Furnishes the lab's directory, with `config` and `ignore` in `/etc/portsentry`.
pub(super) fn furnish(lab: &Lab, config: &str, ignored: &str) {
    let place = |path: &str| place(lab, Path::new(path));
    for directory in ["/etc/portsentry", "/var/lib/portsentry", "/var/run/portsentry", "/dev", JOURNAL] {
        fs::create_dir_all(place(directory)).expect("a directory");
    }
    fs::write(place("/etc/portsentry/portsentry.conf"), config).expect("a configuration file");
    fs::write(place("/etc/portsentry/portsentry.ignore"), ignored).expect("an ignore file");
    // The real one would need to be mounted; a daemon only needs somewhere to write to.
    fs::write(place("/dev/null"), "").expect("a file");
}

/// The command that runs what follows in that directory's midst.
pub(super) fn command(lab: &Lab) -> Command {
    let mut command = lab.host.command("unshare");
    command.args(["--mount", "sh", "-euc", MOUNTS, "sh"]).arg(lab.files());
    command
}

/// A system log or a journal, which keeps what it gets.
#[derive(Debug)]
pub struct Syslog(UnixDatagram);

impl Lab {
    /// The system log of a daemon that is installed in this lab.
    pub fn syslog(&self) -> Syslog {
        self.log_at("/dev/log")
    }

    /// The journal of a daemon that is installed in this lab.
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
    /// The next line as it was sent.
    pub fn next(&self) -> String {
        let mut bytes = [0; 4096];
        let length = uninterrupted(|| self.0.recv(&mut bytes)).expect("a line for the system log");
        String::from_utf8(bytes[..length].to_vec()).expect("text")
    }

    /// The next line that holds `text`.
    pub fn wait_for(&self, text: &str) -> String {
        loop {
            let line = self.next();
            if line.contains(text) {
                return line;
            }
        }
    }
}
