//! The spool: the events that channels have yet to send, on disk and in memory, bounded in bytes, and the position of each
//! channel.

mod cursor;
mod journal;

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub use self::cursor::{Cursor, Store, StoreError};
use self::journal::Journal;
use crate::event::Event;

/// An event with its number in the spool.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Counted from 1 without gaps, also over restarts.
    pub number: u64,
    /// The event.
    pub event: Event,
    /// Its length on disk, in bytes.
    length: usize,
}

/// The entries that a channel has yet to look at.
#[derive(Clone, Debug, Default)]
pub struct Waiting {
    /// Number of entries that the spool had no room for.
    pub lost: u64,
    /// The entries, oldest first.
    pub entries: Vec<Arc<Entry>>,
}

/// The spool. Clones share it.
#[derive(Clone, Debug)]
pub struct Spool {
    shared: Arc<(Mutex<State>, Condvar)>,
    directory: PathBuf,
}

#[derive(Debug)]
struct State {
    journal: Journal,
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
    size: usize,
    next: u64,
    is_over: bool,
}

impl Spool {
    /// Opens the spool in `directory`, which may take `size` bytes.
    pub fn open(directory: &Path, size: usize) -> io::Result<Self> {
        let (journal, found) = Journal::open(directory, size)?;
        let mut state = State { journal, entries: VecDeque::new(), bytes: 0, size, next: 1, is_over: false };
        for (number, event, length) in found {
            state.put(number, event, length);
        }
        let shared = Arc::new((Mutex::new(state), Condvar::new()));
        Ok(Self { shared, directory: directory.into() })
    }

    /// Moves events to the spool. They are on disk when it returns; after an error those that are not stay in `events`.
    pub fn add(&self, events: &mut VecDeque<Event>) -> io::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let mut state = self.state();
        while let Some(event) = events.front() {
            let number = state.next;
            let length = state.journal.append(number, event)?;
            if let Some(event) = events.pop_front() {
                state.put(number, event, length);
            }
        }
        state.journal.sync()?;
        drop(state);
        self.shared.1.notify_all();
        Ok(())
    }

    /// Returns the entries behind number `done`.
    #[must_use]
    pub fn behind(&self, done: u64) -> Waiting {
        let state = self.state();
        let first = state.entries.front().map_or(state.next, |entry| entry.number);
        let lost = first.saturating_sub(done.saturating_add(1));
        let start = state.entries.partition_point(|entry| entry.number <= done);
        let entries = state.entries.range(start..).cloned().collect();
        Waiting { lost, entries }
    }

    /// Waits at most for `time` until there are entries behind number `last`. Returns whether the spool is still open.
    #[must_use]
    pub fn wait(&self, last: u64, time: Duration) -> bool {
        let state = self.state();
        let is_idle = |state: &mut State| !state.is_over && state.next <= last.saturating_add(1);
        let waited = self.shared.1.wait_timeout_while(state, time, is_idle);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.is_over
    }

    /// Waits for `time`, or until the spool is closed. Returns whether it is still open.
    #[must_use]
    pub fn pause(&self, time: Duration) -> bool {
        let waited = self.shared.1.wait_timeout_while(self.state(), time, |state| !state.is_over);
        !waited.unwrap_or_else(PoisonError::into_inner).0.is_over
    }

    /// Whether it has not been closed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.state().is_over
    }

    /// Closes it: all waits end.
    pub fn close(&self) {
        self.state().is_over = true;
        self.shared.1.notify_all();
    }

    /// Makes sure that the next entry's number is greater than `last`, even if files have been deleted.
    pub fn reserve(&self, last: u64) {
        let mut state = self.state();
        state.next = state.next.max(last.saturating_add(1));
    }

    /// Returns the number of the last entry.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.state().next - 1
    }

    /// Returns the last event that has a number from the daemon.
    #[must_use]
    pub fn latest(&self) -> Option<Event> {
        self.state()
            .entries
            .iter()
            .rev()
            .find(|entry| entry.event.sequence().is_some())
            .map(|entry| entry.event.clone())
    }

    /// Returns the events that are kept, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Arc<Entry>> {
        self.state().entries.iter().cloned().collect()
    }

    /// Returns where the position of channel `name` is kept.
    #[must_use]
    pub fn store(&self, name: &str) -> Store {
        Store::new(self.directory.join(format!("{name}.channel")))
    }

    /// Returns where the position in the daemon's events is kept.
    #[must_use]
    pub fn source_store(&self) -> Store {
        Store::new(self.directory.join("position"))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is complete, so the state after a panic is consistent.
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, number: u64, event: Event, length: usize) {
        self.next = number + 1;
        self.bytes += length;
        self.entries.push_back(Arc::new(Entry { number, event, length }));
        while self.bytes > self.size {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= oldest.length;
        }
    }
}

#[cfg(test)]
mod tests;
