//! The position in the daemon's events. It is written at most once a second; in between, the spool's last event tells it.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::spool::{Spool, Store, StoreError};

const INTERVAL: Duration = Duration::from_secs(1);

/// The position.
#[derive(Debug)]
pub(super) struct Position {
    store: Store,
    last: Last,
    written: Option<Instant>,
    is_changed: bool,
}

/// The last event.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Last {
    /// Its number; `None` before the first connection.
    after: Option<u64>,
    /// Its time, in milliseconds since the epoch.
    time: i64,
}

impl Position {
    pub(super) fn read(spool: &Spool) -> Result<Self, StoreError> {
        let store = spool.source_store();
        let mut last: Last = match store.read() {
            // A damaged file only means that the history is asked for more.
            Err(StoreError::Content { .. }) => Last::default(),
            found => found?.unwrap_or_default(),
        };
        if let Some(event) = spool.latest()
            && event.sequence() > last.after
        {
            last = Last { after: event.sequence(), time: milliseconds(event.time()).unwrap_or(last.time) };
        }
        Ok(Self { store, last, written: None, is_changed: false })
    }

    pub(super) const fn after(&self) -> Option<u64> {
        self.last.after
    }

    pub(super) fn time(&self) -> Timestamp {
        Timestamp::from_millisecond(self.last.time).unwrap_or_default()
    }

    /// Sets the position to the event before `next`, unless there is one from before.
    pub(super) fn begin(&mut self, next: Option<u64>) {
        if self.last.after.is_none() {
            self.last = Last {
                after: next.map(|next| next.saturating_sub(1)),
                time: Timestamp::now().as_millisecond(),
            };
            self.is_changed = true;
        }
    }

    /// Moves it to an event.
    pub(super) fn pass(&mut self, sequence: u64, time: Option<Timestamp>) {
        self.last = Last { after: Some(sequence), time: milliseconds(time).unwrap_or(self.last.time) };
        self.is_changed = true;
    }

    /// Writes it, if it is time for that.
    pub(super) fn write(&mut self) -> Result<(), StoreError> {
        if !self.is_changed || self.written.is_some_and(|written| written.elapsed() < INTERVAL) {
            return Ok(());
        }
        self.store.write(&self.last)?;
        self.written = Some(Instant::now());
        self.is_changed = false;
        Ok(())
    }
}

fn milliseconds(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_millisecond)
}
