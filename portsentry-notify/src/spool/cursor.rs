//! A channel's position in the spool, what it must remember over restarts, and the files of positions.

use std::{collections::BTreeMap, path::PathBuf};

use portsentry::sink::WriteError;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Only the notifier may read it.
const MODE: u32 = 0o600;

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

/// Reasons why a position can't be read or written. Each names the file.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file can't be read or replaced.
    #[error(transparent)]
    File(#[from] WriteError),
    /// Its content is no position.
    #[error("{path} is no position: {source}: remove it", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The file of a position: a channel's, or the one in the daemon's events.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
}

impl Store {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Reads the position, or returns `None` if there is none yet.
    pub fn read<T: DeserializeOwned>(&self) -> Result<Option<T>, StoreError> {
        let text = portsentry::sink::read(&self.path)?;
        text.map(|text| serde_json::from_slice(&text)).transpose().map_err(self.failed())
    }

    /// Replaces the position.
    pub fn write(&self, position: &impl Serialize) -> Result<(), StoreError> {
        let new = serde_json::to_vec(position).map_err(self.failed())?;
        Ok(portsentry::sink::update(&self.path, MODE, |_| Some(new.clone()))?)
    }

    fn failed(&self) -> impl Fn(serde_json::Error) -> StoreError {
        |source| StoreError::Content { path: self.path.clone(), source }
    }
}
