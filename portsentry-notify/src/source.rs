//! Follows the daemon's events over the control socket, across restarts of both sides, and fills the spool.

mod gap;
mod position;
mod reader;

use std::{
    collections::{BTreeSet, VecDeque},
    path::PathBuf,
    sync::mpsc::{RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

use jiff::Timestamp;

use self::{
    gap::{Gap, Key},
    position::Position,
    reader::News,
};
use crate::{
    event::Event,
    log::LOG,
    spool::{Spool, StoreError},
};

/// Number of events between the socket and the spool.
const QUEUE: usize = 1024;
/// Time without events after which the position is written.
const IDLE: Duration = Duration::from_millis(500);
/// Pause after the spool could not be written.
const PAUSE: Duration = Duration::from_secs(1);
/// Maximum number of events added at a time.
const BATCH: usize = 256;
/// Number of recovered events that are remembered, so that the daemon's own events about them are skipped.
const REMEMBERED: usize = 4096;

/// Returns whether any channel takes an event.
type Wanted = Box<dyn Fn(&Event) -> bool + Send>;

/// Follows the daemon.
pub struct Source {
    spool: Spool,
    socket: PathBuf,
    position: Position,
    is_wanted: Wanted,
    recovered: BTreeSet<Key>,
    /// The daemon's report that events are missing before the next one.
    gap: Option<Event>,
    /// Events on their way to the spool.
    events: VecDeque<Event>,
}

impl Source {
    /// Creates a source that adds to `spool` the events for which `is_wanted` returns true.
    pub fn new(spool: Spool, socket: PathBuf, is_wanted: Wanted) -> Result<Self, StoreError> {
        let position = Position::read(&spool)?;
        let entries = spool.events();
        let recovered = entries.iter().map(|entry| &entry.event).filter(|event| event.sequence().is_none());
        let recovered = recovered.filter_map(Key::of).collect();
        Ok(Self { spool, socket, position, is_wanted, recovered, gap: None, events: VecDeque::new() })
    }

    /// Follows until the spool is closed.
    pub fn run(mut self) {
        let (sender, news) = sync_channel(QUEUE);
        let (socket, after) = (self.socket.clone(), self.position.after());
        thread::spawn(move || reader::run(&socket, after, &sender));
        loop {
            match news.recv_timeout(IDLE) {
                Ok(first) => self.take(first),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while self.events.len() < BATCH
                && let Ok(next) = news.try_recv()
            {
                self.take(next);
            }
            let mut is_troubled = false;
            while let Err(error) = self.write() {
                if !std::mem::replace(&mut is_troubled, true) {
                    LOG.error(&format!("the spool can't be written; events wait in memory: {error}"));
                }
                if !self.spool.pause(PAUSE) {
                    return;
                }
            }
            if is_troubled {
                LOG.notice("the spool is written again");
            }
            if !self.spool.is_open() {
                return;
            }
        }
    }

    fn write(&mut self) -> Result<(), String> {
        self.spool.add(&mut self.events).map_err(|error| error.to_string())?;
        self.position.write().map_err(|error| error.to_string())
    }

    fn take(&mut self, news: News) {
        match news {
            News::Connected(next) => self.position.begin(next),
            News::Event(event) => self.take_event(event),
        }
    }

    fn take_event(&mut self, event: Event) {
        let Some(sequence) = event.sequence() else {
            // What is missing lies between the last event and the next one.
            self.gap = Some(event);
            return;
        };
        if let Some(loss) = self.gap.take() {
            self.recover(loss, &event);
        } else if self.position.after().is_some_and(|after| sequence <= after) {
            return;
        }
        self.position.pass(sequence, event.time());
        let is_known = Key::of(&event).is_some_and(|key| self.recovered.contains(&key));
        if !is_known && (self.is_wanted)(&event) {
            self.events.push_back(event);
        }
    }

    /// Adds blocks, fences and releases from the history in place of lost events, and the report of the loss.
    fn recover(&mut self, loss: Event, next: &Event) {
        let until = next.time().unwrap_or_else(Timestamp::now);
        let gap = Gap { since: self.position.time(), until };
        let entries = self.spool.events();
        let known =
            entries.iter().map(|entry| &entry.event).chain(&self.events).filter_map(Key::of).collect();
        match gap.events(&self.socket, &known) {
            Ok(found) => {
                for event in found {
                    if self.recovered.len() < REMEMBERED {
                        self.recovered.extend(Key::of(&event));
                    }
                    if (self.is_wanted)(&event) {
                        self.events.push_back(event);
                    }
                }
            }
            Err(problem) => {
                LOG.warning(&format!("events are missing, and the history can't be read: {problem}"));
            }
        }
        if (self.is_wanted)(&loss) {
            self.events.push_back(loss);
        }
    }
}
