//! Writes to the system log by its datagram socket (RFC 3164).
//!
//! Existing libraries block on a stuck log for as long as it is stuck, which would delay the files.

use std::{
    io,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process,
    time::SystemTime,
};

use jiff::{Timestamp, tz::TimeZone};

use super::patience::Patience;
use crate::config::{Facility, Level};

/// A connection to the system log. Opened for the first line, and reopened when it breaks.
#[derive(Debug)]
pub struct Syslog {
    path: PathBuf,
    facility: Facility,
    level: Level,
    zone: TimeZone,
    socket: Option<UnixDatagram>,
    patience: Patience,
    /// Lines lost since the last one that was sent.
    untold: u64,
    /// Lines lost in total.
    lost: u64,
}

impl Syslog {
    /// Connects to the log at `path`, usually `/dev/log`.
    pub fn new(path: &Path, facility: Facility, level: Level) -> Self {
        let (path, zone, patience) = (path.into(), TimeZone::system(), Patience::new());
        Self { path, facility, level, zone, socket: None, patience, untold: 0, lost: 0 }
    }

    /// Sends a line, preceded by the number of lines lost before it. All lines have the configured level, as in 1.2, but
    /// errors have at least theirs.
    pub fn send(&mut self, line: &str, level: Level) {
        if self.untold > 0 {
            let loss =
                format!("adminalert: {} log lines lost: the system log did not accept them", self.untold);
            if self.try_send(&loss, Level::Warning).is_ok() {
                self.untold = 0;
            }
        }
        if self.try_send(line, level).is_err() {
            self.untold += 1;
            self.lost += 1;
        }
    }

    /// Returns the number of lines lost in total.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    fn try_send(&mut self, line: &str, level: Level) -> io::Result<()> {
        let is_error = level.code() <= Level::Err.code();
        let level = if is_error { self.level.code().min(Level::Err.code()) } else { self.level.code() };
        let priority = self.facility.code() << 3 | level;
        let now = Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH);
        let time = now.to_zoned(self.zone.clone()).strftime("%b %e %H:%M:%S");
        let message = format!("<{priority}>{time} portsentry[{}]: {line}", process::id());
        // A restarted log has a new socket under the old name.
        for _ in 0..2 {
            let socket = match self.socket.take() {
                Some(socket) => socket,
                None => connect(&self.path)?,
            };
            match self.patience.send(&socket, |socket| socket.send(message.as_bytes())) {
                Ok(()) => {
                    self.socket = Some(socket);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.socket = Some(socket);
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        Err(io::ErrorKind::NotConnected.into())
    }
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 4096];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_line_has_priority_time_and_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::new(&path, Facility::Daemon, Level::Notice);
        syslog.send("adminalert: hello", Level::Info);
        let line = receive(&log);
        assert!(line.starts_with("<29>"), "{line}");
        assert!(line.ends_with(&format!(" portsentry[{}]: adminalert: hello", process::id())), "{line}");
        assert_eq!(line.len() - line.find(" portsentry").unwrap() + "<29>Nov 22 23:12:59".len(), line.len());
        syslog.send("adminalert: ERROR: no", Level::Err);
        assert!(receive(&log).starts_with("<27>"), "errors are errors");
    }

    #[test]
    fn a_restarted_log_is_found_again_and_told_what_it_missed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut syslog = Syslog::new(&path, Facility::Daemon, Level::Notice);
        syslog.send("nobody hears this", Level::Info);
        let log = UnixDatagram::bind(&path).unwrap();
        syslog.send("first", Level::Info);
        assert!(receive(&log).contains("1 log lines lost"));
        assert!(receive(&log).ends_with("first"));
        drop(log);
        std::fs::remove_file(&path).unwrap();
        let log = UnixDatagram::bind(&path).unwrap();
        syslog.send("second", Level::Info);
        assert!(receive(&log).ends_with("second"));
    }

    #[test]
    fn a_stuck_log_is_not_waited_for_long() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::new(&path, Facility::Daemon, Level::Notice);
        for _ in 0..100_000 {
            syslog.send("line", Level::Info);
        }
        assert!(syslog.lost > 0);
        receive(&log);
    }
}
