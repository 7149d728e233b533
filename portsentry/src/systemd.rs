//! What the service manager that started this process provides: the journal, and whether it waits for the process to be
//! ready (`systemd.exec(5)`, `sd_notify(3)`).

use std::{
    env,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
};

use nix::sys::stat::fstat;

use crate::config::Level;

/// Path of the journal's socket.
pub const JOURNAL: &str = "/run/systemd/journal/socket";

/// The service manager's part in this process. By default there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Whether standard output or standard error goes to the journal, and the journal takes fields, too.
    pub has_journal: bool,
    /// Whether the manager waits for this process to report that it is ready. Then it must not go to the background.
    pub awaits_readiness: bool,
}

impl Service {
    /// The process that the package's unit starts.
    pub const UNIT: Self = Self { has_journal: true, awaits_readiness: true };

    /// Returns the service manager's part in this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        let is_journal = is_journal(std::io::stdout().as_fd()) || is_journal(std::io::stderr().as_fd());
        Self {
            has_journal: is_journal && Path::new(JOURNAL).exists(),
            awaits_readiness: env::var_os("NOTIFY_SOCKET").is_some(),
        }
    }
}

/// Whether `file` is the stream to the journal that `JOURNAL_STREAM` names.
#[must_use]
pub fn is_journal(file: BorrowedFd<'_>) -> bool {
    env::var("JOURNAL_STREAM").is_ok_and(|stream| names(&stream, file))
}

/// Whether `stream`, a device and an inode (`8:2049`), names `file`.
fn names(stream: &str, file: BorrowedFd<'_>) -> bool {
    let numbers = stream
        .split_once(':')
        .and_then(|(device, inode)| Some((device.parse::<u64>().ok()?, inode.parse::<u64>().ok()?)));
    fstat(file).is_ok_and(|found| numbers == Some((found.st_dev, found.st_ino)))
}

/// Prints `text` to standard error. In the journal, each line has the priority `level` (`sd-daemon(3)`).
pub fn complain(level: Level, text: &str) {
    let prefix = if is_journal(std::io::stderr().as_fd()) { prefix(level) } else { String::new() };
    text.trim_end().lines().for_each(|line| eprintln!("{prefix}{line}"));
}

/// The log of a program without a log file: lines on standard error, in the journal with their priority, elsewhere with
/// the program's name.
#[derive(Debug)]
pub struct Program(pub &'static str);

impl Program {
    /// Logs an error.
    pub fn error(&self, text: &str) {
        self.log(Level::Err, text);
    }

    /// Logs a warning.
    pub fn warning(&self, text: &str) {
        self.log(Level::Warning, text);
    }

    /// Logs a notice.
    pub fn notice(&self, text: &str) {
        self.log(Level::Notice, text);
    }

    fn log(&self, level: Level, text: &str) {
        let is_journal = is_journal(std::io::stderr().as_fd());
        let start = if is_journal { prefix(level) } else { format!("{}: ", self.0) };
        eprintln!("{start}{text}");
    }
}

/// Returns the start of a line by which the journal recognises its priority.
#[must_use]
pub fn prefix(level: Level) -> String {
    format!("<{}>", level.code())
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::MetadataExt, net::UnixStream};

    use super::*;

    #[test]
    fn a_stream_is_known_by_device_and_inode() {
        let (stream, other) = UnixStream::pair().unwrap();
        let file = std::fs::File::from(std::os::fd::OwnedFd::from(stream.try_clone().unwrap()));
        let found = file.metadata().unwrap();
        let name = format!("{}:{}", found.dev(), found.ino());
        assert!(names(&name, stream.as_fd()));
        assert!(!names(&name, other.as_fd()));
        for wrong in ["", ":", "1", "a:b", &format!("{name}:1"), &format!(" {name}")] {
            assert!(!names(wrong, stream.as_fd()), "{wrong}");
        }
    }
}
