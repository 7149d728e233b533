//! Resolves names of addresses (`RESOLVE_HOST`) on a separate thread, with limits on number and time.

mod answer;
mod error;
mod lookup;
mod memory;
mod name;

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::{runtime, sync::mpsc, task::JoinSet, time::timeout};

use self::{lookup::Dns, memory::Memory};

pub use answer::Answer;
pub use error::Error;
pub use name::{Name, NotAName};

/// Limits of the resolver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Maximum number of concurrent queries.
    pub in_flight: usize,
    /// Time limit of an answer.
    pub time_limit: Duration,
    /// Maximum number of cached answers; one takes about 100 bytes and the name.
    pub capacity: usize,
    /// Time for which a name is cached.
    pub keep_name: Duration,
    /// Time for which a missing name or a failed query is cached.
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

/// The resolver's thread.
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
    /// Starts the thread, which uses `/etc/resolv.conf` and `/etc/hosts`. It calls `answer` once for each address
    /// with the result [`Answer::Asked`]. `answer` must not block.
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

    /// Returns the name of `address` if it is known. Never waits for the network.
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

    /// Reads `/etc/resolv.conf` and `/etc/hosts` again, and clears the cache. After an error the old configuration
    /// stays in use.
    pub fn reload(&self) -> Result<(), Error> {
        self.switch_to(Dns::of_system(self.settings.time_limit)?);
        Ok(())
    }

    fn switch_to(&self, dns: Dns) {
        // A thread that has ended gives no answers.
        let _ = self.orders.send(Order::Use(dns));
    }

    /// Ends the thread. Pending queries are not answered.
    pub fn stop(self) {
        drop(self.orders);
        // If it panicked, the panic has already been printed.
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
                // A panic of the library counts as no name.
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
