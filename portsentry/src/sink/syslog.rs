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
    priority: u8,
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
        let priority = (facility as u8) << 3 | level as u8;
        let (path, zone, patience) = (path.into(), TimeZone::system(), Patience::new());
        Self { path, priority, zone, socket: None, patience, untold: 0, lost: 0 }
    }

    /// Sends a line, preceded by the number of lines lost before it.
    pub fn send(&mut self, line: &str) {
        if self.untold > 0 {
            let loss =
                format!("adminalert: {} log lines lost: the system log did not accept them", self.untold);
            if self.try_send(&loss).is_ok() {
                self.untold = 0;
            }
        }
        if self.try_send(line).is_err() {
            self.untold += 1;
            self.lost += 1;
        }
    }

    /// Returns the number of lines lost in total.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    fn try_send(&mut self, line: &str) -> io::Result<()> {
        let now = Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH);
        let time = now.to_zoned(self.zone.clone()).strftime("%b %e %H:%M:%S");
        let message = format!("<{}>{time} portsentry[{}]: {line}", self.priority, process::id());
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
        Syslog::new(&path, Facility::Daemon, Level::Notice).send("adminalert: hello");
        let line = receive(&log);
        assert!(line.starts_with("<29>"), "{line}");
        assert!(line.ends_with(&format!(" portsentry[{}]: adminalert: hello", process::id())), "{line}");
        assert_eq!(line.len() - line.find(" portsentry").unwrap() + "<29>Nov 22 23:12:59".len(), line.len());
    }

    #[test]
    fn a_restarted_log_is_found_again_and_told_what_it_missed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut syslog = Syslog::new(&path, Facility::Daemon, Level::Notice);
        syslog.send("nobody hears this");
        let log = UnixDatagram::bind(&path).unwrap();
        syslog.send("first");
        assert!(receive(&log).contains("1 log lines lost"));
        assert!(receive(&log).ends_with("first"));
        drop(log);
        std::fs::remove_file(&path).unwrap();
        let log = UnixDatagram::bind(&path).unwrap();
        syslog.send("second");
        assert!(receive(&log).ends_with("second"));
    }

    #[test]
    fn a_stuck_log_is_not_waited_for_long() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::new(&path, Facility::Daemon, Level::Notice);
        for _ in 0..100_000 {
            syslog.send("line");
        }
        assert!(syslog.lost > 0);
        receive(&log);
    }
}
