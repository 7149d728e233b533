//! Another gateway: carries its words to the daemon, and reads its part of the state when words are missing.

use std::{sync::Arc, time::Duration};

use portsentry::policy::peers::{Gateway, Said, Word};
use tokio::{
    sync::mpsc::Receiver,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::{
    links::Links,
    seen::{Arrival, Seen},
    state,
    task::ended,
    wire,
};
use crate::{
    daemon::{Daemon, Refusals},
    nats::Message,
};

/// Pause between two readings of the state.
const PAUSE: Duration = Duration::from_millis(200);
/// Pause after the state could not be read.
const RETRY: Duration = Duration::from_secs(1);
/// Number of readings that may end before the sequence number up to which the peer knows its words to be stored. A server that lags
/// behind the others answers all the same, but the server is chosen anew for each reading. After so many of them the word with that
/// number is over.
const SHORT: u32 = 10;
/// Pause before another reading after that, if it was the server that lagged behind.
const LATER: Duration = Duration::from_mins(1);

/// Interval of further readings of the whole state because the daemon hasn't heard some of it: it bounds the words of a minute.
const ANEW: Duration = Duration::from_secs(61);

/// What a reading leaves: the connection to the daemon, the next sequence number, and whether all before it has been read that there is.
type Read = (u64, u64, bool);
/// What is known after a reading: all words of a run of the peer's companion up to a number, if it has read the state up to a
/// sequence number.
#[derive(Clone, Copy, Debug)]
struct Known {
    run: u64,
    number: u64,
    sequence: u64,
}

/// Another gateway.
#[derive(Debug)]
pub struct Peer {
    gateway: Gateway,
    links: Arc<Links>,
    daemon: Daemon,
    seen: Seen,
    /// Clock of the last beat.
    beat: (u64, u64),
    /// Connection to the daemon that has been told everything before `next`.
    told: u64,
    /// Next sequence number of its part of the state.
    next: u64,
    /// When the state is to be read, and what is known afterwards.
    wanted: Option<(Instant, Option<Known>)>,
    reading: Option<(JoinHandle<Read>, Option<Known>)>,
    /// When the whole state is to be read again.
    anew: Option<Instant>,
    /// When the latest such reading began.
    repeated: Option<Instant>,
    refusals: Refusals,
    /// Number of readings in a row that ended too early.
    short: u32,
}

impl Peer {
    /// Creates the peer.
    #[must_use]
    pub fn new(gateway: Gateway, links: Arc<Links>, daemon: Daemon) -> Self {
        Self {
            gateway,
            links,
            daemon,
            seen: Seen::default(),
            beat: (0, 0),
            told: 0,
            next: 1,
            wanted: None,
            reading: None,
            anew: None,
            repeated: None,
            refusals: Refusals::default(),
            short: 0,
        }
    }

    /// Serves it for good.
    pub async fn run(mut self, mut mailbox: Receiver<Message>) {
        let mut ready = self.links.follow();
        let mut connection = self.daemon.connection();
        let mut refused = self.daemon.refused();
        loop {
            let wanted = self.wanted.as_ref().map(|(due, _)| *due);
            let due = wanted.into_iter().chain(self.anew).min().filter(|_| self.reading.is_none());
            tokio::select! {
                message = mailbox.recv() => match message {
                    Some(message) => self.take(&message).await,
                    None => return,
                },
                // After a cut, and with a new daemon, the state is read from where it was read to.
                changed = ready.changed() => if changed.is_ok() { self.want(Duration::ZERO, None) } else { return },
                changed = connection.changed() => if changed.is_ok() { self.want(Duration::ZERO, None) } else { return },
                changed = refused.changed() => if changed.is_ok() { self.on_refusals() } else { return },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.begin(),
                read = ended(self.reading.as_mut().map(|(task, _)| task)) => self.end(read.unwrap_or((0, 1, false))),
            }
        }
    }

    async fn take(&mut self, message: &Message) {
        let connection = self.daemon.current();
        let is_beat = (message.subscription - wire::FIRST) % 2 == 1;
        if is_beat {
            let Ok(beat) = serde_json::from_slice::<wire::Beat>(&message.payload) else { return };
            if std::mem::replace(&mut self.beat, (beat.run, beat.clock)) == (beat.run, beat.clock) {
                return;
            }
            if let Some(number) = self.seen.missing(&beat) {
                let known = Known { run: beat.run, number, sequence: beat.sequence };
                self.want(Duration::ZERO, Some(known));
            }
            self.say(connection, &Word::Beat { gateway: self.gateway.clone(), clock: beat.clock }).await;
        } else if wire::number(&message.payload).is_some_and(|(run, number)| self.seen.has(run, number)) {
            // The other connection was faster.
        } else if let Some(news) = wire::read_news(&self.gateway, &message.payload)
            && let Some(arrival) = self.seen.take(news.run, news.number)
        {
            for word in news.words {
                // Many may be repeated at a time, which isn't a flood.
                let word = if arrival == Arrival::Again { word.into_state() } else { word };
                self.say(connection, &word).await;
            }
        }
    }

    async fn say(&self, connection: u64, word: &Word) {
        if connection != 0 {
            self.daemon.say(connection, word).await;
        }
    }

    /// Has the words read again that the daemon hasn't heard. The state has its news, too.
    fn on_refusals(&mut self) {
        let refusals = self.daemon.refusals(&self.gateway);
        let before = std::mem::replace(&mut self.refusals, refusals);
        if refusals.state != before.state {
            let soon = Instant::now() + RETRY;
            self.anew = Some(self.repeated.map_or(soon, |repeated| soon.max(repeated + ANEW)));
        }
        if refusals.news != before.news {
            self.seen.forget();
            self.want(RETRY, None);
        }
    }

    /// Has the state read after a time. Afterwards all words up to a number of a run are known.
    fn want(&mut self, after: Duration, known: Option<Known>) {
        let due = Instant::now() + after;
        self.wanted = Some(match self.wanted.take() {
            Some((before, earlier)) => (before.min(due), known.or(earlier)),
            None => (due, known),
        });
    }

    fn begin(&mut self) {
        let now = Instant::now();
        let connection = self.daemon.current();
        // Both the end of the wait for a connection and the daemon's begin another reading.
        if connection == 0 || !self.links.is_up() {
            self.wanted = None;
            self.anew = self.anew.map(|due| due.max(now + RETRY));
            return;
        }
        let known = self.wanted.take_if(|(due, _)| *due <= now).and_then(|(_, known)| known);
        let is_anew = self.anew.take_if(|due| *due <= now).is_some();
        if self.told != connection {
            (self.told, self.next, self.anew) = (connection, 1, None);
            self.seen.forget();
        } else if is_anew {
            (self.next, self.repeated) = (1, Some(Instant::now()));
        }
        let (gateway, links, daemon, next) =
            (self.gateway.clone(), Arc::clone(&self.links), self.daemon.clone(), self.next);
        let task = tokio::spawn(async move {
            let (next, is_whole) = read(&gateway, &links, &daemon, connection, next).await;
            (connection, next, is_whole)
        });
        self.reading = Some((task, known));
    }

    fn end(&mut self, (connection, next, is_whole): Read) {
        let Some((_, known)) = self.reading.take() else { return };
        // A beat that arrived during this reading says more than the one before it.
        let known = self.wanted.and_then(|(_, newer)| newer).or(known);
        if connection == self.told {
            self.next = next;
        }
        if connection != self.told || !is_whole {
            self.want(RETRY, known);
            return;
        }
        match known {
            Some(Known { sequence, .. }) if next <= sequence && self.short < SHORT => {
                self.short += 1;
                self.want(if self.short > SHORT / 2 { RETRY } else { PAUSE }, known);
            }
            Some(Known { run, number, sequence }) => {
                self.short = 0;
                self.seen.know(run, number);
                if next <= sequence {
                    // Its server still lags behind. Later it has the rest.
                    self.want(LATER, None);
                }
            }
            None => {}
        }
        if let Some((due, _)) = &mut self.wanted {
            *due = (*due).max(Instant::now() + PAUSE);
        }
    }
}

/// Reads the state from a sequence number on, and tells the daemon. Returns the next sequence number, and whether that was all.
async fn read(gateway: &Gateway, links: &Links, daemon: &Daemon, connection: u64, next: u64) -> (u64, bool) {
    let mut next = next;
    let mut batch = state::read(links, gateway, next).await;
    while let Some((found, after, is_more)) = batch {
        next = after;
        let tell = tell(gateway, daemon, connection, found);
        if !is_more {
            tell.await;
            return (next, true);
        }
        // The servers send the next words while the daemon hears these.
        ((), batch) = tokio::join!(tell, state::read(links, gateway, next));
    }
    (next, false)
}

async fn tell(gateway: &Gateway, daemon: &Daemon, connection: u64, found: state::Found) {
    let mut all: Vec<Said> = Vec::new();
    for (_, _, word) in found {
        match word {
            Word::Block { blocks, .. } => all.extend(blocks),
            word => daemon.say(connection, &word).await,
        }
    }
    for blocks in all.chunks(wire::WORDS) {
        let (gateway, blocks) = (gateway.clone(), blocks.to_vec());
        daemon.say(connection, &Word::Block { gateway, state: true, said: 0, blocks }).await;
    }
}
