//! Sends a channel's messages: decides what is due, sends it, and moves the channel's position.

use std::{collections::HashSet, sync::Arc, time::Duration};

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    channel::{Channel, Outcome},
    config::Settings,
    log::LOG,
    message::Message,
    pace::FULL,
    spool::{Cursor, Entry, Spool, Store, StoreError, Waiting},
};

/// First and longest pause after a failure.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(10);
/// Longest wait, in case the clock is set.
const IDLE: Duration = Duration::from_mins(1);
/// Number of attempts at a message that the receiver refuses.
const REFUSALS: u32 = 3;
/// Maximum number of events of a message after a wait for a limit.
const MOST: usize = 1000;

/// A channel with its position.
pub struct Worker {
    settings: Settings,
    channel: Box<dyn Channel>,
    /// Whether an event can be sent at all.
    can_send: fn(&crate::event::Event) -> bool,
    spool: Spool,
    store: Store,
    cursor: Cursor,
    host: String,
    zone: TimeZone,
    failures: u32,
}

/// The next step.
enum Step {
    /// There is nothing to send.
    Idle,
    /// Wait for this time, or for more events.
    Wait(Duration),
    /// Send these entries.
    Send(Vec<Arc<Entry>>),
}

impl Worker {
    /// Creates a worker. A new channel begins with the next event.
    pub fn new(
        settings: Settings,
        channel: Box<dyn Channel>,
        can_send: fn(&crate::event::Event) -> bool,
        spool: &Spool,
        host: &str,
    ) -> Result<Self, StoreError> {
        let store = spool.store(&settings.name);
        let cursor = match store.read()? {
            Some(cursor) => cursor,
            None => Cursor { done: spool.last(), ..Cursor::default() },
        };
        store.write(&cursor)?;
        spool.reserve(cursor.sending.unwrap_or(cursor.done));
        let (spool, host, zone) = (spool.clone(), host.to_owned(), TimeZone::system());
        Ok(Self { settings, channel, can_send, spool, store, cursor, host, zone, failures: 0 })
    }

    /// Sends until the spool is closed.
    pub fn run(mut self) {
        loop {
            let last = self.spool.last();
            let waiting = self.spool.behind(self.cursor.done);
            let is_open = match self.step(&waiting, Timestamp::now()) {
                Step::Idle => self.spool.wait(last, IDLE),
                Step::Wait(time) => self.spool.wait(last, time.min(IDLE)),
                Step::Send(entries) => self.send(&entries),
            };
            if !is_open {
                return;
            }
        }
    }

    /// Decides the next step. Passes over events that are not for this channel.
    fn step(&mut self, waiting: &Waiting, now: Timestamp) -> Step {
        let Some(first) = waiting.entries.first() else { return Step::Idle };
        if waiting.lost > 0 {
            // Together, so that no event is counted again.
            self.cursor.lost = self.cursor.lost.saturating_add(waiting.lost);
            self.cursor.done = first.number - 1;
        }
        let end = self.cursor.sending.unwrap_or(u64::MAX);
        let pace = &self.settings.pace;
        let mut seen: HashSet<&str> = HashSet::new();
        let mut entries: Vec<Arc<Entry>> = Vec::new();
        for entry in waiting.entries.iter().filter(|entry| entry.number <= end) {
            let source = entry.event.subject();
            let is_one = self.settings.route.takes(&entry.event)
                && (self.can_send)(&entry.event)
                && !pace.is_repeated(&self.cursor, source, entry.event.time().unwrap_or(now))
                && (pace.once == 0 || source.is_empty() || seen.insert(source));
            if is_one {
                entries.push(Arc::clone(entry));
            }
        }
        let Some(first) = entries.first() else {
            // Written with the next message: to look again after a restart does no harm.
            let passed = waiting.entries.iter().map(|entry| entry.number).filter(|it| *it <= end).max();
            self.cursor.done = passed.unwrap_or(self.cursor.done);
            (self.cursor.sending, self.cursor.refused) = (None, 0);
            return Step::Wait(Duration::ZERO);
        };
        let time = first.event.time().unwrap_or(now);
        let due = self.settings.pace.due(&self.cursor, time, entries.len(), now, &self.zone);
        if let Ok(wait) = Duration::try_from(due.duration_since(now))
            && !wait.is_zero()
        {
            return Step::Wait(wait);
        }
        entries.truncate(self.most());
        Step::Send(entries)
    }

    /// Returns the maximum number of events of a message.
    fn most(&self) -> usize {
        let pace = &self.settings.pace;
        let is_limited = pace.rate.is_some() || pace.digest.is_some() || pace.quiet.is_some();
        match self.channel.most() {
            FULL if is_limited => MOST,
            most => most,
        }
    }

    /// Sends a message. Returns whether the spool is still open.
    fn send(&mut self, entries: &[Arc<Entry>]) -> bool {
        let Some(last) = entries.last() else { return true };
        if self.cursor.sending.is_none() {
            self.cursor.sending = Some(last.number);
            if !self.write() {
                return self.pause(None);
            }
        }
        let is_digest = self.settings.pace.digest.is_some();
        let message = Message::new(&self.settings.name, &self.host, entries, self.cursor.lost, is_digest);
        let now = Timestamp::now();
        match self.channel.send(&message) {
            Outcome::Sent => self.done(&message, last.number, now),
            Outcome::SentThenRest(rest) => {
                self.rest(rest);
                self.done(&message, last.number, now)
            }
            Outcome::Refused(problem) => {
                self.cursor.refused += 1;
                if self.cursor.refused < REFUSALS {
                    self.complain(&format!("{problem}; trying again"));
                    return self.pause(None);
                }
                let count = entries.len();
                LOG.error(&format!(
                    "[{}] {problem}; refused {REFUSALS} times, {count} events are skipped",
                    self.settings.name
                ));
                self.pass(
                    last.number,
                    self.cursor.lost.saturating_add(u64::try_from(count).unwrap_or(u64::MAX)),
                )
            }
            Outcome::Later(problem, rest) => {
                self.complain(&format!("{problem}; trying again"));
                self.pause(rest)
            }
        }
    }

    fn done(&mut self, message: &Message, last: u64, now: Timestamp) -> bool {
        if std::mem::take(&mut self.failures) > 0 {
            LOG.notice(&format!("[{}] messages are sent again", self.settings.name));
        }
        self.settings.pace.sent(&mut self.cursor, &message.sources(), now);
        self.pass(last, 0)
    }

    /// Moves the position behind the message, which ended with entry `end`.
    fn pass(&mut self, end: u64, lost: u64) -> bool {
        self.failures = 0;
        (self.cursor.done, self.cursor.sending) = (end, None);
        (self.cursor.lost, self.cursor.refused) = (lost, 0);
        // Until it is written a restart would send the message again, but nothing behind it is sent.
        while !self.write() {
            if !self.spool.pause(FIRST) {
                return false;
            }
        }
        true
    }

    fn write(&self) -> bool {
        let written = self.store.write(&self.cursor);
        if let Err(error) = &written {
            LOG.error(&format!("[{}] {error}", self.settings.name));
        }
        written.is_ok()
    }

    /// Logs the first failure of a row, and later ones as often as they are spaced widely.
    fn complain(&self, problem: &str) {
        if self.failures.is_power_of_two() || self.failures == 0 {
            LOG.warning(&format!("[{}] {problem}", self.settings.name));
        }
    }

    fn rest(&mut self, rest: Duration) {
        let second = Timestamp::now().checked_add(rest).map_or(i64::MAX, Timestamp::as_second);
        self.cursor.not_before = second;
    }

    /// Waits before another attempt: for the time that the receiver asked for, or longer with each failure.
    fn pause(&mut self, rest: Option<Duration>) -> bool {
        let longest = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        // Many hosts whose receiver was away don't come back to it at once.
        let spread = longest.mul_f64(0.8 + 0.4 * fastrand::f64());
        self.failures = self.failures.saturating_add(1);
        if let Some(rest) = rest.filter(|rest| *rest > LONGEST) {
            self.rest(rest);
            let _ = self.write();
        }
        self.spool.pause(rest.unwrap_or(spread).min(LONGEST))
    }
}

#[cfg(test)]
mod tests;
