//! This gateway: publishes what the daemon tells, and stores it in the fleet's state.

use std::{collections::HashMap, sync::Arc, time::Duration};

use portsentry::{
    inspect::fleet::Report,
    policy::peers::{Gateway, Millis, Word, millis_of},
};
use serde_json::json;
use tokio::{
    sync::mpsc::{Receiver, UnboundedReceiver},
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::{
    links::Links,
    outbox::Outbox,
    state,
    task::ended,
    wire::{self, Stored},
};
use crate::{
    config::Server,
    daemon::{Daemon, Told},
    log::LOG,
    nats::publish,
};

/// Interval at which words are stored again, and news repeated.
const TICK: Duration = Duration::from_millis(50);
/// Number of ticks between two beats, and between two reports to the daemon.
const BEAT: u32 = 20;
/// Time after which the others are told at once that the state has caught up with this gateway.
const BEHIND: Duration = Duration::from_millis(200);
/// Pause after the state could not be read.
const RETRY: Duration = Duration::from_secs(1);

/// Texts in the state by key, and the sequence number up to which they have been read.
type Known = (HashMap<String, Vec<u8>>, u64);

/// This gateway.
#[derive(Debug)]
pub struct Own {
    gateway: Gateway,
    links: Arc<Links>,
    daemon: Daemon,
    servers: Vec<Server>,
    certificate: Option<Millis>,
    outbox: Outbox,
    /// The state that the daemon is telling, by key.
    state: HashMap<String, Stored>,
    reading: Option<JoinHandle<Known>>,
    /// Moment since which the state has lacked words.
    behind: Option<Instant>,
}

impl Own {
    /// Creates the gateway of a run.
    #[must_use]
    pub fn new(
        gateway: Gateway,
        links: Arc<Links>,
        daemon: Daemon,
        servers: Vec<Server>,
        (certificate, run, rate): (Option<Millis>, u64, u32),
    ) -> Self {
        let outbox = Outbox::new(run, rate, Instant::now());
        Self {
            gateway,
            links,
            daemon,
            servers,
            certificate,
            outbox,
            state: HashMap::new(),
            reading: None,
            behind: None,
        }
    }

    /// Serves it until the daemon calls the gateway by another name.
    pub async fn run(mut self, mut told: Receiver<Told>, mut acks: UnboundedReceiver<(u64, Option<u64>)>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut ready = self.links.follow();
        let mut passed = 0_u32;
        loop {
            tokio::select! {
                news = told.recv() => match news {
                    Some(Told::Hello(name, _)) if name != self.gateway => {
                        LOG.error(&format!("the daemon calls this gateway {name} now, not {}", self.gateway));
                        return;
                    }
                    Some(news) => self.take(news, &mut told),
                    None => return,
                },
                ack = acks.recv() => if let Some((number, sequence)) = ack {
                    self.acknowledge(number, sequence);
                    while let Ok((number, sequence)) = acks.try_recv() {
                        self.acknowledge(number, sequence);
                    }
                },
                changed = ready.changed() => if changed.is_ok() {
                    // After a cut the others needn't wait.
                    self.outbox.repeat_all(Instant::now());
                    self.repeat();
                    self.beat();
                    self.report().await;
                },
                read = ended(self.reading.as_mut()) => {
                    self.reading = None;
                    let (known, sequence) = read.unwrap_or_default();
                    self.compare(&known);
                    self.outbox.read(sequence);
                    self.beat();
                }
                _ = ticks.tick() => {
                    if passed.is_multiple_of(BEAT) {
                        self.beat();
                        self.report().await;
                    }
                    passed = passed.wrapping_add(1);
                    self.repeat();
                }
            }
            self.store();
            self.watch();
        }
    }

    fn repeat(&mut self) {
        for news in self.outbox.take_repeats(Instant::now()) {
            self.links.publish(&publish(&wire::news(&self.gateway), &news));
        }
    }

    /// Tells the others when the state has caught up with this gateway.
    fn watch(&mut self) {
        if self.outbox.waiting() > 0 {
            self.behind.get_or_insert_with(Instant::now);
        } else if self.behind.take().is_some_and(|since| since.elapsed() >= BEHIND) {
            self.beat();
        }
    }

    /// Takes what the daemon tells, with all that it tells at the same time.
    fn take(&mut self, first: Told, told: &mut Receiver<Told>) {
        let (mut words, mut count) = (Vec::new(), 0);
        let mut next = Some(first);
        while let Some(news) = next.take() {
            match news {
                Told::Hello(..) => self.state.clear(),
                Told::Word(word) if word.is_state() => self.tell_state(&word),
                Told::Word(word) => {
                    count += word.count();
                    words.push(word);
                }
                Told::Synced => self.read(),
                Told::Released(_) | Told::Refused(..) => {}
            }
            if count < wire::WORDS / 2 {
                next = told.try_recv().ok();
            }
        }
        if !words.is_empty()
            && let Some(news) = self.outbox.say(words, now(), Instant::now())
        {
            self.links.publish(&publish(&wire::news(&self.gateway), &news));
        }
    }

    fn tell_state(&mut self, word: &Word) {
        let stored = wire::split(word, now());
        self.state.extend(stored.into_iter().map(|stored| (stored.key.clone(), stored)));
    }

    /// Reads this gateway's part of the state, to compare it with what the daemon has told.
    fn read(&mut self) {
        if let Some(task) = self.reading.take() {
            task.abort();
        }
        let (links, gateway) = (Arc::clone(&self.links), self.gateway.clone());
        self.reading = Some(tokio::spawn(async move {
            let (mut known, mut next) = (HashMap::new(), 1);
            loop {
                match state::read(&links, &gateway, next).await {
                    Some((found, after, is_more)) => {
                        known.extend(found.into_iter().map(|(key, payload, _)| (key, payload)));
                        next = after;
                        if !is_more {
                            return (known, next - 1);
                        }
                    }
                    None => sleep(RETRY).await,
                }
            }
        }));
    }

    /// Stores what the state lacks.
    fn compare(&mut self, known: &HashMap<String, Vec<u8>>) {
        let told = std::mem::take(&mut self.state);
        let lacking = told.into_values().filter(|stored| known.get(&stored.key) != Some(&stored.payload));
        let mut lacking = lacking.peekable();
        if lacking.peek().is_some() {
            self.outbox.store(lacking);
        }
    }

    fn acknowledge(&mut self, number: u64, sequence: Option<u64>) {
        match sequence {
            Some(sequence) => self.outbox.stored(number, sequence),
            None => self.outbox.refused(number, Instant::now()),
        }
    }

    fn store(&mut self) {
        for (number, Stored { key, payload, seconds }) in self.outbox.take_ready(Instant::now()) {
            let subject = wire::state(&self.gateway, &key);
            if !self.links.store(number, &subject, seconds, &payload) {
                self.outbox.refused(number, Instant::now());
            }
        }
    }

    fn beat(&self) {
        let beat = serde_json::to_vec(&self.outbox.beat(now())).unwrap_or_default();
        self.links.publish(&publish(&wire::beat(&self.gateway), &beat));
    }

    /// Tells the daemon what it can't know.
    async fn report(&self) {
        let connection = self.daemon.current();
        if connection == 0 {
            return;
        }
        let report = Report {
            servers: self.links.report(&self.servers),
            certificate: self.certificate,
            waiting: self.outbox.waiting(),
        };
        let mut word = json!(report);
        word["word"] = "report".into();
        self.daemon.say(connection, &word).await;
    }
}

fn now() -> Millis {
    millis_of(std::time::SystemTime::now())
}
