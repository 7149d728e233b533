//! The connections to two different servers. What is published goes over both, and each subscription exists on both, so that
//! neither the loss of a server nor one without routes to the others loses a message.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use portsentry::{inspect::fleet::Server as Reported, policy::peers::Gateway};
use tokio::{
    sync::{
        mpsc::{Sender, UnboundedReceiver, UnboundedSender, unbounded_channel},
        watch,
    },
    time::{Instant, sleep},
};

use super::{
    flood::{Due, Floods, Place},
    wire::{self, ANSWERS, FIRST},
};
use crate::{
    config::Server,
    log::LOG,
    nats::{self, Inbox, Message, Session},
};

/// Maximum pause before another attempt to connect.
const PAUSE: Duration = Duration::from_millis(800);
/// Time after which a connection counts as a good one.
const GOOD: Duration = Duration::from_secs(5);
/// Interval at which subscriptions that have ended begin again.
const RESUMPTION: Duration = Duration::from_millis(500);

/// The places where messages are put.
#[derive(Debug)]
pub struct Mailboxes {
    /// Answers about words for the state: their identifications, and their sequence numbers if they are stored.
    pub acks: UnboundedSender<(u64, Option<u64>)>,
    /// News and beats, by peer. What doesn't fit is lost, and found missing later.
    pub peers: Vec<Sender<Message>>,
}

/// The connections.
#[derive(Debug)]
pub struct Links {
    run: u64,
    /// The connections that are ready.
    ready: [Mutex<Option<Sender<Vec<u8>>>>; 2],
    /// The servers that the connections use or try.
    used: Mutex<[Option<usize>; 2]>,
    /// Number of connections so far that were ready.
    count: watch::Sender<u64>,
    requests: Mutex<HashMap<u64, UnboundedSender<Message>>>,
    numbers: AtomicU64,
    floods: Mutex<Floods>,
    /// The subjects of news and beats, by position.
    subjects: Vec<String>,
    mailboxes: Mailboxes,
}

/// Returns the value in a lock. No thread panics while it holds one.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Links {
    /// Creates the connections of a run, none of them ready, to hear these gateways. `rate` is that of their news.
    #[must_use]
    pub fn new(run: u64, rate: u32, peers: &[Gateway], mailboxes: Mailboxes) -> Self {
        Self {
            run,
            ready: Default::default(),
            used: Mutex::default(),
            count: watch::Sender::new(0),
            requests: Mutex::default(),
            numbers: AtomicU64::new(0),
            floods: Mutex::new(Floods::new(rate)),
            subjects: wire::subjects(peers),
            mailboxes,
        }
    }

    /// Returns the frames with which one of the connections begins to hear. Answers come to the connection that has asked.
    #[must_use]
    pub fn subscriptions(&self, slot: usize) -> String {
        let peers = (FIRST..).zip(&self.subjects).map(|(number, subject)| self.subscription(subject, number));
        format!("SUB _INBOX.{}-{slot}.* {ANSWERS}\r\n{}", self.run, peers.collect::<String>())
    }

    fn subscription(&self, subject: &str, number: u64) -> String {
        format!("SUB {subject} {number}\r\nUNSUB {number} {}\r\n", lock(&self.floods).most())
    }

    /// Renews a subscription: the new one begins before the old one ends.
    fn renew(&self, (slot, position): Place) {
        let Some(subject) = usize::try_from(position).ok().and_then(|index| self.subjects.get(index)) else {
            return;
        };
        let now = Instant::now();
        let (before, after) = lock(&self.floods).renew((slot, position), now);
        let number = |renewals: u64| FIRST + position + renewals * self.subjects.len() as u64;
        let frames = format!("{}UNSUB {}\r\n", self.subscription(subject, number(after)), number(before));
        let sent =
            lock(&self.ready[slot]).as_ref().is_none_or(|sender| sender.try_send(frames.into()).is_ok());
        if !sent {
            // The queue is full.
            lock(&self.floods).postpone((slot, position), now);
        }
    }

    /// Follows the number of connections that became ready.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }

    /// Whether any connection is ready.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.ready.iter().any(|slot| lock(slot).is_some())
    }

    /// Sends a frame over each connection.
    pub fn publish(&self, frame: &[u8]) {
        for slot in &self.ready {
            if let Some(sender) = lock(slot).as_ref() {
                // The queue is full of what will show the peers that something is missing.
                let _ = sender.try_send(frame.into());
            }
        }
    }

    /// Sends a word to the state over one connection. Returns whether that was possible.
    pub fn store(&self, identification: u64, subject: &str, seconds: Option<u64>, payload: &[u8]) -> bool {
        let seconds = seconds.map(|seconds| format!("{seconds}s"));
        let header = seconds.as_deref().map(|seconds| ("Nats-TTL", seconds));
        self.send(identification, |slot| {
            let reply = format!("_INBOX.{}-{slot}.s{identification}", self.run);
            nats::publish_with_reply(subject, &reply, header, payload)
        })
    }

    /// Sends a request over one connection, chosen at random: a server that lags behind the others answers all the same. Returns the
    /// answers, unless no connection is ready.
    pub fn request(&self, subject: &str, payload: &[u8]) -> Option<Answers<'_>> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = unbounded_channel();
        lock(&self.requests).insert(number, sender);
        let answers = Answers { links: self, number, receiver };
        let sent = self.send(fastrand::u64(..), |slot| {
            let reply = format!("_INBOX.{}-{slot}.r{number}", self.run);
            nats::publish_with_reply(subject, &reply, None, payload)
        });
        sent.then_some(answers)
    }

    /// Returns the servers, and whether each is connected.
    #[must_use]
    pub fn report(&self, servers: &[Server]) -> Vec<Reported> {
        let used = *lock(&self.used);
        let is_ready = |index| {
            used.iter().zip(&self.ready).any(|(used, slot)| *used == Some(index) && lock(slot).is_some())
        };
        let reported = servers
            .iter()
            .enumerate()
            .map(|(index, server)| Reported { name: server.to_string(), connected: is_ready(index) });
        reported.collect()
    }

    /// Sends a frame over the connection that a number chooses, or over the other one.
    fn send(&self, number: u64, frame: impl Fn(usize) -> Vec<u8>) -> bool {
        let first = usize::from(number % 2 == 1);
        [first, 1 - first].into_iter().any(|slot| {
            let ready = lock(&self.ready[slot]);
            ready.as_ref().is_some_and(|sender| sender.try_send(frame(slot)).is_ok())
        })
    }

    fn answer(&self, message: Message) {
        let Some((kind, number)) =
            message.subject.rsplit('.').next().and_then(|last| last.split_at_checked(1))
        else {
            return;
        };
        let Ok(number) = number.parse::<u64>() else { return };
        if kind == "s" {
            let _ = self.mailboxes.acks.send((number, sequence(&message)));
        } else if let Some(request) = lock(&self.requests).get(&number) {
            // Its sender waits no longer.
            let _ = request.send(message);
        }
    }
}

/// Returns the sequence number in an answer that says that a word is stored.
fn sequence(message: &Message) -> Option<u64> {
    let answer = serde_json::from_slice::<serde_json::Value>(&message.payload).unwrap_or_default();
    let is_stored = message.headers.status.is_none() && answer["error"].is_null();
    answer["seq"].as_u64().filter(|_| is_stored)
}

/// The answers to a request.
#[derive(Debug)]
pub struct Answers<'a> {
    links: &'a Links,
    number: u64,
    /// The answers.
    pub receiver: UnboundedReceiver<Message>,
}

impl Drop for Answers<'_> {
    fn drop(&mut self) {
        lock(&self.links.requests).remove(&self.number);
    }
}

/// A connection's mailbox.
struct Slot<'a> {
    links: &'a Links,
    index: usize,
    name: &'a str,
}

impl Slot<'_> {
    /// Counts a message of another gateway. Renews the subscription in time, unless there are far too many.
    fn count(&self, place: Place, message: &Message) {
        let due = lock(&self.links.floods).count(place, Instant::now());
        match due {
            Due::Nothing => {}
            Due::Renewal => self.links.renew(place),
            Due::Pause => LOG.warning(&format!(
                "too many messages on {}: until the flood is over, this gateway's words come from the state",
                message.subject
            )),
        }
    }
}

impl Inbox for Slot<'_> {
    fn open(&self, sender: &Sender<Vec<u8>>) {
        lock(&self.links.floods).forget(self.index);
        *lock(&self.links.ready[self.index]) = Some(sender.clone());
        LOG.notice(&format!("connected to server {}", self.name));
        self.links.count.send_modify(|count| *count += 1);
    }

    fn take(&self, message: Message) {
        let Some(number) = message.subscription.checked_sub(FIRST) else { return self.links.answer(message) };
        let Some(position) = number.checked_rem(self.links.subjects.len() as u64) else { return };
        let peer = usize::try_from(position / 2).ok().and_then(|peer| self.links.mailboxes.peers.get(peer));
        if let Some(peer) = peer {
            self.count((self.index, position), &message);
            let _ = peer.try_send(message);
        }
    }

    fn refused(&self, problem: &str) {
        LOG.error(&format!("server {} refuses: {problem}", self.name));
    }
}

/// Renews subscriptions that have paused because of a flood.
pub async fn resume(links: Arc<Links>) {
    loop {
        sleep(RESUMPTION).await;
        let due = lock(&links.floods).due(Instant::now());
        due.into_iter().for_each(|place| links.renew(place));
    }
}

/// Keeps a connection, always to a server that the other one doesn't use.
pub async fn keep(links: Arc<Links>, slot: usize, servers: Vec<Server>, session: Session) {
    let mut next = slot;
    let mut pause = Duration::ZERO;
    let mut complained = None;
    loop {
        let index = {
            let mut used = lock(&links.used);
            let other = used[1 - slot];
            let free = (next..).map(|index| index % servers.len()).take(servers.len());
            let Some(index) = free.into_iter().find(|index| Some(*index) != other) else { return };
            used[slot] = Some(index);
            index
        };
        let server = &servers[index];
        let name = server.to_string();
        let begun = Instant::now();
        let error = nats::run(server, &session, &Slot { links: &links, index: slot, name: &name }).await;
        let was_ready = lock(&links.ready[slot]).take().is_some();
        if was_ready {
            LOG.warning(&format!("the connection to server {name} is lost: {error}"));
            complained = None;
        } else if complained.replace(index) != Some(index) {
            LOG.warning(&format!("server {name} can't be reached: {error}"));
        }
        // The next server is tried at once, and then again after pauses.
        pause = if was_ready && begun.elapsed() > GOOD {
            Duration::ZERO
        } else {
            (pause * 2).clamp(PAUSE / 20, PAUSE)
        };
        next = index + 1;
        sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
    }
}
