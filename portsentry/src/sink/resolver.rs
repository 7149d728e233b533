//! Names of addresses (`RESOLVE_HOST`), asked of the DNS on a thread of its own, bounded in number and time.

mod lookup;
mod memory;
mod name;

use std::{
    collections::{HashMap, HashSet},
    io,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::{runtime, sync::mpsc, task::JoinSet, time::timeout};

use self::{lookup::Dns, memory::Memory};

pub use name::{Name, NotAName};

/// What bounds the resolver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Addresses that are being asked about at the most.
    pub in_flight: usize,
    /// How long an answer may take.
    pub time_limit: Duration,
    /// Answers remembered at the most; one takes about 100 bytes and the name.
    pub capacity: usize,
    /// How long a name is remembered.
    pub keep_name: Duration,
    /// How long it is remembered that there is no name, or that nobody answered.
    pub keep_none: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            in_flight: 16,
            time_limit: Duration::from_secs(2),
            capacity: 4096,
            keep_name: Duration::from_hours(1),
            keep_none: Duration::from_mins(5),
        }
    }
}

/// Why the resolver can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The thread or its runtime could not be had.
    #[error("starting the resolver: {0}")]
    Start(#[from] io::Error),
    /// `/etc/resolv.conf` is missing, or wrong, or names nobody to ask.
    #[error("/etc/resolv.conf: {0}")]
    Configuration(String),
}

/// What can be said at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The name, or that there is none to be had.
    Known(Option<Name>),
    /// The answer comes by the callback, within the time limit.
    Asked,
    /// Too many are being asked about. No answer will come.
    Refused,
}

/// The thread that asks.
#[derive(Debug)]
pub struct Resolver {
    settings: Settings,
    state: Arc<Mutex<State>>,
    orders: mpsc::UnboundedSender<Order>,
    thread: thread::JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    memory: Memory,
    asked: HashSet<IpAddr>,
}

#[derive(Debug)]
enum Order {
    Ask(IpAddr),
    Use(Dns),
}

impl Resolver {
    /// Starts the thread, which asks whom `/etc/resolv.conf` and `/etc/hosts` name. `answer` is called on it, once
    /// for each address that was [`Answer::Asked`] about; it must not block.
    pub fn start(
        settings: Settings,
        answer: impl FnMut(IpAddr, Option<Name>) + Send + 'static,
    ) -> Result<Self, Error> {
        Self::start_with(settings, Dns::of_system(settings.time_limit)?, answer)
    }

    fn start_with(
        settings: Settings,
        dns: Dns,
        answer: impl FnMut(IpAddr, Option<Name>) + Send + 'static,
    ) -> Result<Self, Error> {
        let memory = Memory::new(settings.capacity, settings.keep_name, settings.keep_none);
        let state = Arc::new(Mutex::new(State { memory, asked: HashSet::new() }));
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (orders, received) = mpsc::unbounded_channel();
        let shared = Arc::clone(&state);
        let thread = thread::Builder::new()
            .name("resolver".into())
            .spawn(move || runtime.block_on(ask(received, dns, settings.time_limit, &shared, answer)))?;
        Ok(Self { settings, state, orders, thread })
    }

    /// The name of `address`, if it is known. Never waits for the network.
    #[must_use]
    pub fn resolve(&self, address: IpAddr) -> Answer {
        let mut state = lock(&self.state);
        if let Some(known) = state.memory.get(address, Instant::now()) {
            return known;
        }
        if state.asked.contains(&address) {
            return Answer::Asked;
        }
        if state.asked.len() >= self.settings.in_flight || self.orders.send(Order::Ask(address)).is_err() {
            return Answer::Refused;
        }
        state.asked.insert(address);
        Answer::Asked
    }

    /// Reads `/etc/resolv.conf` and `/etc/hosts` again, and forgets all answers. After an error it goes on as before.
    pub fn reload(&self) -> Result<(), Error> {
        self.switch_to(Dns::of_system(self.settings.time_limit)?);
        Ok(())
    }

    fn switch_to(&self, dns: Dns) {
        // A thread that is gone asks nobody.
        let _ = self.orders.send(Order::Use(dns));
    }

    /// Ends the thread. What is being asked about is not answered any more.
    pub fn stop(self) {
        drop(self.orders);
        // Its panic, if it was that, has been shown.
        let _ = self.thread.join();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn ask(
    mut orders: mpsc::UnboundedReceiver<Order>,
    mut dns: Dns,
    time_limit: Duration,
    state: &Mutex<State>,
    mut answer: impl FnMut(IpAddr, Option<Name>),
) {
    let mut lookups = JoinSet::new();
    let mut addresses = HashMap::new();
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Ask(address)) => {
                    let dns = dns.clone();
                    let lookup = async move { timeout(time_limit, dns.name_of(address)).await.ok().flatten() };
                    addresses.insert(lookups.spawn(lookup).id(), address);
                }
                Some(Order::Use(other)) => {
                    dns = other;
                    lock(state).memory.clear();
                }
                None => return,
            },
            Some(ended) = lookups.join_next_with_id() => {
                // A library that panics over an answer has found no name.
                let (id, name) = ended.unwrap_or_else(|error| (error.id(), None));
                let Some(address) = addresses.remove(&id) else { continue };
                let mut state = lock(state);
                state.asked.remove(&address);
                state.memory.put(address, name.clone(), Instant::now());
                drop(state);
                answer(address, name);
            }
        }
    }
}

#[cfg(test)]
mod tests;
