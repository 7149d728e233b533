//! Writes to systemd's journal by its native protocol: a datagram of fields to its socket
//! (`docs/JOURNAL_NATIVE_PROTOCOL.md` in systemd).
//!
//! Existing libraries block on a stuck journal for as long as it is stuck, which would delay the files.

use std::{
    io,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
};

use super::{
    event::{Action, Event, Field},
    patience::Patience,
};
use crate::config::Facility;

/// A connection to the journal. A restarted journal listens at the same path.
#[derive(Debug)]
pub struct Journald {
    path: PathBuf,
    facility: Facility,
    socket: Option<UnixDatagram>,
    patience: Patience,
    /// Lines lost since the last one that was sent.
    untold: u64,
    /// Lines lost in total.
    lost: u64,
}

impl Journald {
    /// Connects to the journal at `path`, usually [`JOURNAL`](crate::systemd::JOURNAL).
    pub fn new(path: &Path, facility: Facility) -> Self {
        let patience = Patience::new();
        Self { path: path.into(), facility, socket: None, patience, untold: 0, lost: 0 }
    }

    /// Sends a line with the event's fields, preceded by the number of lines lost before it.
    pub fn send(&mut self, line: &str, event: &Event) {
        if self.untold > 0 {
            let loss = format!("adminalert: {} log lines lost: the journal did not accept them", self.untold);
            let event = Event::new(Action::Loss).with(Field::Count, self.untold);
            if self.try_send(&loss, &event).is_ok() {
                self.untold = 0;
            }
        }
        if self.try_send(line, event).is_err() {
            self.untold += 1;
            self.lost += 1;
        }
    }

    /// Returns the number of lines lost in total.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    fn try_send(&mut self, line: &str, event: &Event) -> io::Result<()> {
        let mut datagram = Vec::new();
        field(&mut datagram, "MESSAGE", line);
        field(&mut datagram, "PRIORITY", &event.level().code().to_string());
        field(&mut datagram, "SYSLOG_IDENTIFIER", "portsentry");
        field(&mut datagram, "SYSLOG_FACILITY", &self.facility.code().to_string());
        for (name, value) in event.journal() {
            field(&mut datagram, name, &value);
        }
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => open()?,
        };
        let path = &self.path;
        let sent = self.patience.send(&socket, |socket| socket.send_to(&datagram, path));
        self.socket = Some(socket);
        sent
    }
}

fn open() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Adds a field: `NAME=value`, or for a value of several lines, its length as 64 bits before it.
fn field(datagram: &mut Vec<u8>, name: &str, value: &str) {
    datagram.extend(name.as_bytes());
    if value.contains('\n') {
        datagram.push(b'\n');
        datagram.extend((value.len() as u64).to_le_bytes());
    } else {
        datagram.push(b'=');
    }
    datagram.extend(value.as_bytes());
    datagram.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 4096];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    fn journal() -> (tempfile::TempDir, PathBuf, Journald) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let journald = Journald::new(&path, Facility::Daemon);
        (dir, path, journald)
    }

    #[test]
    fn a_line_comes_with_its_fields() {
        let (_dir, path, mut journald) = journal();
        let log = UnixDatagram::bind(path).unwrap();
        journald.send("attackalert: hello", &Event::new(Action::Block).about([192, 0, 2, 9]));
        assert_eq!(
            receive(&log),
            "MESSAGE=attackalert: hello\nPRIORITY=4\nSYSLOG_IDENTIFIER=portsentry\nSYSLOG_FACILITY=3\n\
             PORTSENTRY_EVENT=block\nPORTSENTRY_SCHEMA=1\nPORTSENTRY_SOURCE=192.0.2.9\n"
        );
        journald.send("adminalert: ERROR", &Event::new(Action::Error));
        assert!(receive(&log).contains("\nPRIORITY=3\n"));
    }

    #[test]
    fn a_value_of_several_lines_can_not_pass_for_a_field() {
        let mut datagram = Vec::new();
        field(&mut datagram, "MESSAGE", "a\nPRIORITY=0");
        assert_eq!(datagram, b"MESSAGE\n\x0c\0\0\0\0\0\0\0a\nPRIORITY=0\n");
    }

    #[test]
    fn a_restarted_journal_is_found_again_and_told_what_it_missed() {
        let (_dir, path, mut journald) = journal();
        let event = Event::new(Action::Note);
        journald.send("nobody hears this", &event);
        let log = UnixDatagram::bind(&path).unwrap();
        journald.send("first", &event);
        let loss = receive(&log);
        assert!(loss.contains("1 log lines lost") && loss.contains("\nPORTSENTRY_COUNT=1\n"), "{loss}");
        assert!(receive(&log).starts_with("MESSAGE=first\n"));
        drop(log);
        std::fs::remove_file(&path).unwrap();
        let log = UnixDatagram::bind(&path).unwrap();
        journald.send("second", &event);
        assert!(receive(&log).starts_with("MESSAGE=second\n"));
    }

    #[test]
    fn a_stuck_journal_is_not_waited_for() {
        let (_dir, path, mut journald) = journal();
        let log = UnixDatagram::bind(path).unwrap();
        for _ in 0..10_000 {
            journald.send("line", &Event::new(Action::Note));
        }
        assert!(journald.lost > 0);
        receive(&log);
    }
}
