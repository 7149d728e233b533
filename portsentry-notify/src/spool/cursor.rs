//! A channel's position in the spool, and what it must remember over restarts.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

/// A channel's position.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cursor {
    /// Number of the last entry that is done: sent, refused, or not for this channel.
    pub done: u64,
    /// Number of the last entry of the message that is being sent. It is written before the message is sent, so that
    /// another attempt, also after a restart, sends the same message with the same key.
    pub sending: Option<u64>,
    /// Number of events before that message that were lost: the spool had no room, or the receiver refused them.
    pub lost: u64,
    /// Number of attempts at that message that the receiver refused.
    pub refused: u32,
    /// Seconds since the epoch of the last messages, oldest first.
    pub recent: Vec<i64>,
    /// Seconds since the epoch before which the receiver wants no more.
    pub not_before: i64,
    /// The day of `today`, as days since the epoch in UTC.
    pub day: i64,
    /// Number of messages sent on that day.
    pub today: u64,
    /// The sources of which events were sent lately, with the seconds since the epoch.
    pub sources: BTreeMap<String, i64>,
}

/// The file of a channel's position.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
}

impl Store {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Reads the position, or returns `None` for a new channel.
    pub fn read(&self) -> io::Result<Option<Cursor>> {
        match fs::read(&self.path) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the position.
    pub fn write(&self, cursor: &Cursor) -> io::Result<()> {
        let beside = self.path.with_extension("new");
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
        file.write_all(&serde_json::to_vec(cursor)?)?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        self.path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    }
}
