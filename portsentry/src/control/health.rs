//! The daemon's state, as the answer to `status`.

use portsentry_common::counter::Counters;
use serde::{Deserialize, Serialize};

use crate::{instant::Time, kernel::Waiting, notation, policy::Enforcement};

/// The daemon's state.
#[derive(Clone, Debug, Serialize)]
pub struct Health {
    /// The mode of enforcement.
    pub mode: Mode,
    /// Number of blocked and fenced sources, according to the files.
    pub held: usize,
    /// Interfaces watched.
    pub interfaces: Vec<String>,
    /// Interfaces that should be watched, but can't be or don't exist.
    pub not_watched: Vec<Unwatched>,
    /// Interfaces that need not be watched.
    pub left_out: Vec<Unwatched>,
    /// Watched interfaces whose outgoing packets aren't seen.
    pub unseen: Vec<Unwatched>,
    /// Reason why not all own, ignored and watched networks are in effect; `None` if they are.
    pub scope: Option<String>,
    /// The kernel program's counters since the maps were created.
    #[serde(serialize_with = "notation::counters::serialize")]
    pub counters: Counters,
    /// The ring's size and its unread data, in bytes; `None` if that can't be read.
    pub ring: Option<Waiting>,
    /// Number of sources whose verdict awaits answers to their first contacts.
    pub awaited: usize,
    /// Probes skipped because writing the files took too long.
    pub lost: u64,
    /// The last error.
    pub last_error: Option<Trouble>,
}

/// The mode of enforcement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mode {
    /// Its name, for programs.
    pub name: String,
    /// Its description.
    pub words: String,
    /// How to change it.
    pub change: String,
}

impl From<Enforcement> for Mode {
    fn from(enforcement: Enforcement) -> Self {
        let strength = enforcement.strength();
        Self {
            name: strength.name().into(),
            words: enforcement.to_string(),
            change: Enforcement::how_to_change(strength).into(),
        }
    }
}

/// An interface that is not watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unwatched {
    /// Its name.
    pub interface: String,
    /// The reason.
    pub reason: String,
}

/// An error and its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// Time of the error.
    pub time: Time,
    /// The error.
    pub message: String,
}
