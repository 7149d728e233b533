//! The judge in userspace: the same rules, with ordinary collections in place of the kernel's maps and sockets.
//!
//! Its clock stands still unless told otherwise.

mod fast;
mod ip;
mod learned;
mod memory;
mod sent;
mod sockets;
mod table;
mod time;

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
};

use bytemuck::Zeroable;
use ipnet::IpNet;
use portsentry::kernel::{decode, monotonic_ns};
use portsentry_common::{
    address::Address,
    block::Block,
    bound::{Horizon, Slot},
    challenge::{Constants, Key, Secrets},
    classify::Protocol,
    counter::{Counter, Counters},
    environment::{
        Connection, DedupKey, Entry, Environment, FamilyMaps, HandshakeCount, Locality, RateLimit, Relation,
        Served,
    },
    event::Event,
    flow::Flow,
    judge::{Action, judge, slow_path},
    pace,
    settings::Settings,
    state::SteerKey,
    tally::{Handshakes, Tally},
    token_bucket::TokenBuckets,
};

use self::ip::ip;
use crate::{
    outcome::{Judge, Outcome, timeless_block},
    received::received,
    scenario::Scenario,
    test_host,
};

/// A ring's record is rounded up to 8 bytes and has a header of 8 (the kernel's `kernel/bpf/ringbuf.c`).
const RECORD: usize = 8 + size_of::<Event>();

/// The rules' environment, in memory.
#[derive(Debug)]
pub struct Model {
    scenario: Scenario,
    local: BTreeMap<IpNet, Locality>,
    ignored: Vec<IpNet>,
    now_ns: u64,
    blocked: RefCell<HashMap<IpAddr, Block>>,
    tallies: RefCell<HashMap<IpAddr, Tally>>,
    handshakes: RefCell<HashMap<IpAddr, Handshakes>>,
    opened: RefCell<HashSet<SteerKey>>,
    learned: memory::Memory,
    sights: RefCell<HashSet<(IpAddr, u16, u8)>>,
    told: RefCell<Vec<Event>>,
    buckets: RefCell<TokenBuckets>,
    secrets: Secrets,
    fenced: RefCell<HashMap<IpAddr, Block>>,
    counters: RefCell<Counters>,
    horizon: Horizon,
}

/// Returns pseudo-random keys.
fn secrets() -> Secrets {
    let word = |number: usize| (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let key = |first| Key::new(std::array::from_fn(|number| word(first + number)));
    Secrets { keys: [0, 8].map(key), current: 0 }
}

impl Model {
    /// Creates the environment of `scenario`.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let now_ns = monotonic_ns().unsigned_abs();
        Self {
            horizon: table::horizon(&scenario.table, now_ns),
            local: test_host::local(),
            ignored: test_host::ignored().into_keys().collect(),
            now_ns,
            blocked: RefCell::new(scenario.blocked.iter().copied().collect()),
            tallies: RefCell::default(),
            handshakes: RefCell::default(),
            opened: RefCell::default(),
            learned: memory::Memory::default(),
            sights: RefCell::default(),
            told: RefCell::default(),
            buckets: RefCell::default(),
            secrets: secrets(),
            fenced: RefCell::default(),
            counters: RefCell::new(Counters::zeroed()),
            scenario: Scenario { settings: scenario.settings.paced(), ..scenario.clone() },
        }
    }
}

impl Model {
    /// Returns the key under which `map` holds `source`: its network, unless the source is blocked alone; otherwise
    /// its address.
    fn key_in<A: Address>(&self, map: &HashMap<IpAddr, Block>, source: A) -> IpAddr {
        let key = source.without(self.scenario.settings.host_bits);
        let is_stranger = FamilyMaps::relation(self, source) == Relation::Stranger;
        let is_near = |block: &Block| block.prefix != 0 && !block.is_over(self.now_ns) && is_stranger;
        if key != source && map.get(&ip(key)).is_some_and(is_near) { ip(key) } else { ip(source) }
    }

    /// Judges a frame by the slow path alone.
    pub fn slow_path(&mut self, frame: &[u8]) -> Outcome {
        self.outcome(|model| slow_path(&received::<false>(frame), model))
    }

    /// Judges a packet without an Ethernet header.
    pub fn judge_bare(&mut self, packet: &[u8]) -> Outcome {
        self.outcome(|model| judge(&received::<true>(packet), model))
    }

    fn outcome(&self, judge: impl FnOnce(&Self) -> Action) -> Outcome {
        let before = *self.counters.borrow();
        let action = judge(self);
        let told = self.told.take();
        let told = told.iter().filter_map(|event| decode(bytemuck::bytes_of(event))).collect();
        Outcome::new(action, told, &before, &self.counters.borrow())
    }
}

impl Judge for Model {
    fn judge(&mut self, frame: &[u8]) -> Outcome {
        self.outcome(|model| judge(&received::<false>(frame), model))
    }

    fn blocked(&self) -> BTreeMap<IpAddr, Block> {
        self.blocked.borrow().iter().map(|(source, block)| (*source, timeless_block(*block))).collect()
    }
}

impl Environment for Model {
    fn settings(&self) -> &Settings {
        &self.scenario.settings
    }

    fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// Never.
    fn heartbeat_ns(&self) -> u64 {
        0
    }

    fn interface(&self) -> u32 {
        const LOOPBACK: u32 = 1;
        LOOPBACK
    }

    fn has_devices_above(&self) -> bool {
        self.scenario.table.has_devices_above
    }

    fn count(&self, counter: Counter) {
        let mut counters = self.counters.borrow_mut();
        let words: &mut [u64] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut *counters));
        words[counter as usize] += 1;
    }

    fn is_watched(&self, protocol: Protocol, port: u16) -> bool {
        test_host::is_listed(protocol, port) || test_host::is_advanced(protocol, port)
    }

    fn is_listed(&self, protocol: Protocol, port: u16) -> bool {
        test_host::is_listed(protocol, port)
    }

    fn is_excluded(&self, port: u16) -> bool {
        test_host::is_excluded(Protocol::Tcp, port)
    }

    fn constants(&self) -> Constants {
        Constants::USUAL
    }

    fn try_acquire(&self, limit: RateLimit, now_ns: u64) -> bool {
        self.buckets.borrow_mut().try_acquire(limit, &self.scenario.settings, now_ns)
    }

    fn horizon(&self) -> &Horizon {
        &self.horizon
    }

    fn secrets(&self) -> Option<&Secrets> {
        Some(&self.secrets)
    }

    fn report(&self, event: &Event) -> bool {
        let mut told = self.told.borrow_mut();
        // A ring is never filled up to its last byte.
        let fits = (told.len() + 1) * RECORD < self.scenario.ring_size as usize;
        if fits {
            told.push(*event);
        }
        fits
    }
}

impl<A: Address> FamilyMaps<A> for Model {
    type Fence = IpAddr;

    fn may_be_alone(&self) -> bool {
        true
    }

    fn is_blocked(&self, source: &A, _: &A, _: bool) -> bool {
        let mut blocked = self.blocked.borrow_mut();
        let key = self.key_in(&blocked, *source);
        match blocked.get_mut(&key) {
            Some(block) if !block.is_over(self.now_ns) => {
                block.dropped += 1;
                true
            }
            _ => false,
        }
    }

    fn is_in_blocked_network(&self, source: A) -> bool {
        let source = ip(source);
        let holding = self.scenario.networks.iter().filter(|(network, _)| network.contains(&source));
        let narrowest = holding.max_by_key(|(network, _)| network.prefix_len());
        let is_ignored = self.ignored.iter().any(|network| network.contains(&source));
        narrowest.is_some_and(|(_, block)| !is_ignored && !block.is_over(self.now_ns))
    }

    fn relation(&self, source: A) -> Relation {
        let source = ip(source);
        if self.ignored.iter().any(|network| network.contains(&source)) {
            Relation::Exempt
        } else if test_host::neighbours().iter().any(|network| network.contains(&source)) {
            Relation::Neighbour
        } else {
            Relation::Stranger
        }
    }

    fn locality(&self, destination: A) -> Locality {
        let destination = ip(destination);
        let holding = self.local.iter().filter(|(network, _)| network.contains(&destination));
        holding
            .max_by_key(|(network, _)| network.prefix_len())
            .map_or(Locality::Foreign, |(_, locality)| *locality)
    }

    fn remember(&self, _: A, _: Protocol, _: u16) {}

    fn slot(&self, protocol: Protocol, port: u16) -> Slot {
        table::slot(&self.scenario, A::VERSION, (protocol, port), self.now_ns)
    }

    fn is_in_served(&self, flow: &Flow<A>, which: Served, _: u32) -> bool {
        if which == Served::BySyn {
            return sent::needs_syn(&self.scenario.sent, flow);
        }
        table::is_in_served(&self.scenario.table, flow, which)
    }

    fn has_socket(&self, flow: &Flow<A>) -> bool {
        sockets::explain(&self.scenario.sockets, flow)
    }

    fn tally(&self, source: A, pair: u32, now_ns: u64) -> u32 {
        let mut tallies = self.tallies.borrow_mut();
        let tally = tallies.entry(ip(source)).or_insert(Tally::EMPTY);
        tally.count(pair, now_ns, self.scenario.settings.tally_ns)
    }

    fn count_handshake(&self, source: A, pair: u32, now_ns: u64) -> HandshakeCount {
        let mut handshakes = self.handshakes.borrow_mut();
        let handshakes = handshakes.entry(ip(source)).or_insert(Handshakes::NONE);
        let traps = handshakes.count(pair, now_ns, self.scenario.settings.tally_ns);
        HandshakeCount { traps, is_connected: handshakes.is_connected(now_ns) }
    }

    fn mark_connected(&self, source: A, now_ns: u64) {
        self.handshakes.borrow_mut().entry(ip(source)).or_insert(Handshakes::NONE).connected_ns = now_ns;
    }

    /// The window is endless, unless it is 0.
    fn is_repeat(&self, key: &DedupKey<A>, _: u64) -> bool {
        let is_new = self.sights.borrow_mut().insert((ip(key.source), key.port, key.kind));
        !is_new && self.scenario.settings.repeat_ns > 0
    }

    fn block(&self, source: A, block: &Block) -> Entry {
        let mut blocked = self.blocked.borrow_mut();
        let source = ip(source);
        let entered = blocked.keys().filter(|other| other.is_ipv4() == source.is_ipv4()).count();
        match blocked.get(&source) {
            Some(old) if !old.is_over(self.now_ns) && (old.prefix != 0 || block.prefix == 0) => {
                return Entry::Already;
            }
            None if entered >= self.scenario.max_blocked as usize => return Entry::Full,
            _ => {}
        }
        blocked.insert(source, *block);
        Entry::Entered
    }

    fn fence_of(&self, source: &A, _: &A, _: bool) -> Option<IpAddr> {
        let fenced = self.fenced.borrow();
        let key = self.key_in(&fenced, *source);
        fenced.get(&key).is_some_and(|fence| !fence.is_over(self.now_ns)).then_some(key)
    }

    fn count_dropped(&self, key: IpAddr) {
        if let Some(fence) = self.fenced.borrow_mut().get_mut(&key) {
            fence.dropped += 1;
        }
    }

    fn count_fenced(&self, source: &A) {
        let key = self.key_in(&self.fenced.borrow(), *source);
        FamilyMaps::<A>::count_dropped(self, key);
    }

    fn fence(&self, source: A, block: &Block) -> Entry {
        let standing = self.fenced.borrow().get(&ip(source)).is_some_and(|fence| !fence.is_over(self.now_ns));
        if standing {
            return Entry::Already;
        }
        self.fenced.borrow_mut().insert(ip(source), *block);
        Entry::Entered
    }

    fn pace(&self, source: &A, _: Option<Self::Fence>, now_ns: u64) -> bool {
        let mut fenced = self.fenced.borrow_mut();
        let key = self.key_in(&fenced, *source);
        fenced.get_mut(&key).is_none_or(|fence| {
            pace::take(fence.paced, now_ns, &self.scenario.settings).map(|next| fence.paced = next).is_some()
        })
    }

    fn may_guess(&self, source: &A, now_ns: u64) -> bool {
        let fenced = self.fenced.borrow();
        let fence = fenced.get(&self.key_in(&fenced, *source));
        fence.is_none_or(|fence| pace::may_guess(fence.guessed, now_ns, &self.scenario.settings))
    }

    fn count_guess(&self, source: &A, now_ns: u64) {
        let mut fenced = self.fenced.borrow_mut();
        let key = self.key_in(&fenced, *source);
        if let Some(fence) = fenced.get_mut(&key) {
            fence.guessed = pace::guess(fence.guessed, now_ns).unwrap_or(fence.guessed);
        }
    }

    fn last_sent_ns(&self, flow: &Flow<A>) -> u64 {
        if sent::goes_on(&self.scenario.sent, flow, &self.scenario.settings) { self.now_ns } else { 0 }
    }

    /// The model's kernel sends no cookies, because no flood reaches it.
    fn is_cookie_of_kernel(&self, _: &Flow<A>, _: usize) -> bool {
        false
    }

    fn accept(&self, flow: &Flow<A>) {
        self.mark_opened(flow);
    }

    fn mark_opened(&self, flow: &Flow<A>) {
        self.opened.borrow_mut().insert(sent::connection(flow));
    }

    fn was_opened(&self, flow: &Flow<A>) -> bool {
        self.opened.borrow().contains(&sent::connection(flow))
    }

    fn unfence(&self, source: A) {
        self.fenced.borrow_mut().remove(&ip(source));
    }

    /// The rules decide the packet here, so steering is a no-op.
    fn steer(&self, _: &Flow<A>) {}

    fn connection(&self, flow: &Flow<A>) -> Connection {
        sockets::connect(&self.scenario.sockets, flow)
    }

    fn is_expected(&self, flow: &Flow<A>) -> bool {
        sockets::expect(&self.scenario.sockets, flow, self.scenario.settings.first_ephemeral)
    }
}
