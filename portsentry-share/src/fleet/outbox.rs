//! The words of this gateway: numbered news, which are repeated until the state has them, and the words that the state has yet
//! to store.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use portsentry::policy::peers::{Millis, Word};
use tokio::time::Instant;

use super::wire::{Beat, News, Stored, WORDS, split};

/// Maximum number of words on their way to the state.
const WINDOW: usize = 256;
/// Maximum number of news that are repeated.
const REPEATED: usize = 1024;
/// Number of words after which further repetitions wait for the next time: new words come first.
const REPEATED_AT_ONCE: usize = 2048;
/// Times after which news are repeated while the state lacks them; the last one again and again.
const REPEATS: [Duration; 3] =
    [Duration::from_millis(250), Duration::from_millis(750), Duration::from_secs(5)];
/// Time for the state to confirm a word.
const PATIENCE: Duration = Duration::from_secs(2);
/// Pause after the state has refused a word.
const PAUSE: Duration = Duration::from_millis(200);
/// Seconds' worth of news that may be sent at once.
const BURST: u64 = 5;

/// A word that the state has yet to store.
#[derive(Debug)]
struct Waiting {
    stored: Stored,
    number: u64,
    /// Its identification on its way, or that of the word that it replaces.
    sent: Option<u64>,
    /// Whether it replaces a word that is on its way. It is sent after that one, or the state could keep the wrong one of the two.
    is_next: bool,
    /// Its last identification, or 0.
    refused: u64,
}

/// News that the state has yet to store.
#[derive(Debug)]
struct Repeated {
    number: u64,
    words: usize,
    payload: Vec<u8>,
    due: Instant,
    times: usize,
}

/// Number of what the state had before this run. The others read it once, because news of an earlier run may have been lost.
const BEFORE: u64 = 1;

/// The words of this gateway.
#[derive(Debug)]
pub struct Outbox {
    run: u64,
    /// Sequence number of the last stored word that is known.
    sequence: u64,
    rate: u64,
    /// Thousandths of words that may be sent as news.
    bucket: u64,
    refilled: Instant,
    number: u64,
    waiting: HashMap<String, Waiting>,
    /// Number of waiting words, by number of the news.
    unstored: BTreeMap<u64, usize>,
    /// Keys of waiting words, in the order in which they are sent.
    ready: VecDeque<String>,
    sent: BTreeMap<u64, (String, Instant)>,
    identification: u64,
    news: VecDeque<Repeated>,
    pause: Instant,
}

impl Outbox {
    /// Creates the outbox of a run, with `rate` words per second as news.
    #[must_use]
    pub fn new(run: u64, rate: u32, now: Instant) -> Self {
        let rate = u64::from(rate);
        Self {
            run,
            sequence: 0,
            rate,
            bucket: rate * BURST * 1000,
            refilled: now,
            number: BEFORE,
            waiting: HashMap::new(),
            unstored: BTreeMap::from([(BEFORE, 1)]),
            ready: VecDeque::new(),
            sent: BTreeMap::new(),
            identification: 0,
            news: VecDeque::new(),
            pause: now,
        }
    }

    /// Records that the state has been read up to a sequence number.
    pub fn read(&mut self, sequence: u64) {
        self.sequence = self.sequence.max(sequence);
        self.forget(BEFORE);
    }

    /// Says words. Returns the news to publish, unless there have been too many: then the words only go to the state.
    pub fn say(&mut self, words: Vec<Word>, clock: Millis, now: Instant) -> Option<Vec<u8>> {
        let count: usize = words.iter().map(Word::count).sum();
        self.store(words.iter().flat_map(|word| split(word, clock)));
        if count > WORDS || !self.has_budget(count as u64, now) {
            return None;
        }
        let news = News { run: self.run, number: self.number, words };
        let payload = serde_json::to_vec(&news).ok()?;
        if self.news.len() == REPEATED {
            self.news.pop_front();
        }
        let (number, due) = (self.number, now + REPEATS[0]);
        self.news.push_back(Repeated { number, words: count, payload: payload.clone(), due, times: 0 });
        Some(payload)
    }

    /// Adds words for the state, under a number of their own.
    pub fn store(&mut self, words: impl IntoIterator<Item = Stored>) {
        self.number += 1;
        for stored in words {
            let key = stored.key.clone();
            *self.unstored.entry(self.number).or_default() += 1;
            let sent = self.waiting.get(&key).and_then(|before| before.sent);
            let waiting = Waiting { stored, number: self.number, sent, is_next: sent.is_some(), refused: 0 };
            match self.waiting.insert(key.clone(), waiting) {
                Some(before) => self.forget(before.number),
                None => self.ready.push_back(key),
            }
        }
    }

    /// Returns the words to send to the state now, with their identifications.
    pub fn take_ready(&mut self, now: Instant) -> Vec<(u64, Stored)> {
        let late = self.sent.iter().filter(|(_, (_, since))| now.duration_since(*since) > PATIENCE);
        let late: Vec<u64> = late.map(|(identification, _)| *identification).collect();
        late.into_iter().for_each(|identification| self.refused(identification, now));
        let mut ready = Vec::new();
        while now >= self.pause
            && self.sent.len() < WINDOW
            && let Some(key) = self.ready.pop_front()
        {
            let Some(waiting) = self.waiting.get_mut(&key).filter(|it| it.sent.is_none()) else { continue };
            self.identification += 1;
            // Each number has its connection, and another attempt takes the other one.
            if waiting.refused > 0 && waiting.refused % 2 == self.identification % 2 {
                self.identification += 1;
            }
            waiting.sent = Some(self.identification);
            self.sent.insert(self.identification, (key, now));
            ready.push((self.identification, waiting.stored.clone()));
        }
        ready
    }

    /// Records that the state has stored a word under a sequence number.
    pub fn stored(&mut self, identification: u64, sequence: u64) {
        self.sequence = self.sequence.max(sequence);
        let Some((key, _)) = self.sent.remove(&identification) else { return };
        if self.waiting.get(&key).is_some_and(|waiting| waiting.is_next) {
            self.send_again(key);
        } else if let Some(waiting) = self.waiting.remove(&key) {
            self.forget(waiting.number);
        }
    }

    /// Records that the state hasn't stored a word. It is sent again.
    pub fn refused(&mut self, identification: u64, now: Instant) {
        let Some((key, _)) = self.sent.remove(&identification) else { return };
        if let Some(waiting) = self.waiting.get_mut(&key) {
            waiting.refused = identification;
        }
        self.send_again(key);
        self.pause = now + PAUSE;
    }

    fn send_again(&mut self, key: String) {
        if let Some(waiting) = self.waiting.get_mut(&key) {
            (waiting.sent, waiting.is_next) = (None, false);
            self.ready.push_back(key);
        }
    }

    /// Has all news repeated now that the state lacks, because others may have missed them.
    pub fn repeat_all(&mut self, now: Instant) {
        self.news.iter_mut().for_each(|news| news.due = now);
    }

    /// Returns the news to repeat now.
    pub fn take_repeats(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let unstored = &self.unstored;
        self.news.retain(|news| unstored.contains_key(&news.number));
        let mut words = 0;
        let due = self.news.iter_mut().filter(|news| news.due <= now).take_while(|news| {
            let has_room = words < REPEATED_AT_ONCE;
            words += news.words;
            has_room
        });
        let repeats = due.map(|news| {
            news.times = (news.times + 1).min(REPEATS.len() - 1);
            news.due = now + REPEATS[news.times];
            news.payload.clone()
        });
        repeats.collect()
    }

    /// Returns the next sign of life.
    #[must_use]
    pub fn beat(&self, clock: Millis) -> Beat {
        let stored = self.unstored.keys().next().map_or(self.number, |first| first - 1);
        Beat { run: self.run, number: self.number, stored, sequence: self.sequence, clock }
    }

    /// Returns the number of words that the state has yet to store.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn forget(&mut self, number: u64) {
        if let Some(count) = self.unstored.get_mut(&number) {
            *count -= 1;
            if *count == 0 {
                self.unstored.remove(&number);
            }
        }
    }

    fn has_budget(&mut self, words: u64, now: Instant) -> bool {
        let since = u64::try_from(now.duration_since(self.refilled).as_millis()).unwrap_or(u64::MAX);
        self.bucket =
            self.bucket.saturating_add(since.saturating_mul(self.rate)).min(self.rate * BURST * 1000);
        self.refilled = now;
        let has = words * 1000 <= self.bucket;
        self.bucket -= if has { words * 1000 } else { 0 };
        has
    }
}

#[cfg(test)]
mod tests;
