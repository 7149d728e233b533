//! The [`Environment`] of the rules, implemented by maps and helpers.

mod environment;
mod family;
mod learned;
mod ports;
mod scan;
mod sources;

use core::{cell::Cell, hint::cold_path, ptr::NonNull};

use aya_ebpf::{
    EbpfContext, bindings::BPF_ANY, btf_maps::PerCpuArray, helpers::generated::bpf_jiffies64,
    programs::XdpContext,
};
use portsentry_common::{
    address::{Ipv4, Ipv6},
    block::Block,
    bound::{Slot, may_need_syn, slot, trap},
    classify::{Probe, Protocol},
    counter::{COUNTERS, Counter, Counters},
    environment::{
        Connection, DedupKey, Entry, Environment, FamilyMaps, FastMaps, HandshakeCount, Locality, Relation,
        Served,
    },
    flow::Flow,
    gate::{Held, Near},
    pace,
    state::{IS_OPEN, SteerKey, TO_ACCEPT},
    token_bucket::TokenBuckets,
};

use crate::{atomic, barrier_var::barrier_var, benign::place, flows, gate::GATE_V4, maps, served, sockets};

pub use self::family::Family;

/// The kernel's state while one packet is judged.
pub struct Kernel<'a> {
    context: &'a XdpContext,
    jiffies: u64,
    /// This CPU's token buckets, once looked up.
    buckets: Cell<Option<NonNull<TokenBuckets>>>,
    /// This CPU's counters, once looked up.
    counters: Cell<Option<NonNull<Counters>>>,
}

impl<'a> Kernel<'a> {
    #[inline(always)]
    pub fn new(context: &'a XdpContext) -> Self {
        // Called once and early, because a call costs registers, even if only the compiler treats it as one.
        // SAFETY: the helper has no preconditions. The verifier turns it into a load.
        let jiffies = unsafe { bpf_jiffies64() };
        Self { context, jiffies, buckets: Cell::new(None), counters: Cell::new(None) }
    }
}

impl Kernel<'_> {
    /// Makes the cache entries of this moment valid, and older entries invalid.
    #[inline(always)]
    pub fn follow_clock(&self) {
        if !GATE_V4.follows(self.jiffies) {
            cold_path();
            follow(self.jiffies);
        }
    }

    /// Adds one to the counter with this number, which is below the length of `COUNTERS`.
    #[inline(always)]
    fn count_at(&self, index: usize) {
        let Some(counters) = once(&self.counters, &maps::COUNTERS) else { return };
        // SAFETY: a counter's number is its word's index in `Counters`, and the value belongs to this CPU.
        unsafe { *counters.as_ptr().cast::<u64>().add(index) += 1 };
    }

    /// Adds one to a counter that was computed.
    #[inline(always)]
    fn count_computed(&self, counter: Counter) {
        // The verifier must see the bound of the number. Without the barrier the optimiser would remove the check.
        let index = barrier_var(counter as usize);
        if index < COUNTERS.len() {
            self.count_at(index);
        }
    }

    /// Returns the port of the daemon's trap for this protocol, or 0 for none.
    #[inline(always)]
    fn own_trap<A: Family>(&self, protocol: Protocol) -> u32 {
        self.horizon().traps[trap(protocol, A::VERSION)]
    }

    /// Whether a block is in force. If so, adds one to its dropped packets.
    #[inline(always)]
    fn is_in_force(&self, block: *mut Block) -> bool {
        // SAFETY: a map's value stays readable while the program runs, even if the entry is deleted meanwhile.
        let until_ns = unsafe { (*block).until_ns };
        if until_ns != 0 && self.now_ns() >= until_ns {
            return false;
        }
        // SAFETY: a field of a map's value.
        unsafe { atomic::add(&raw mut (*block).dropped, 1) };
        true
    }
}

/// The part of the environment that needs no helper call: the program's own data.
pub struct Data;

impl<A: Family> FastMaps<A> for Data {
    #[inline(always)]
    fn near(&self, bit: u32) -> Near {
        A::gate().near(bit)
    }

    #[inline(always)]
    fn is_known_benign(&self, destination: A, ending: u16, protocol: Protocol, port: u16) -> bool {
        destination.is_benign(protocol, place(ending, port.swap_bytes().into()), A::gate().moment())
    }
}

impl<A: Family> FastMaps<A> for Kernel<'_> {
    #[inline(always)]
    fn near(&self, bit: u32) -> Near {
        FastMaps::<A>::near(&Data, bit)
    }

    #[inline(always)]
    fn is_known_benign(&self, destination: A, ending: u16, protocol: Protocol, port: u16) -> bool {
        destination.is_benign(protocol, place(ending, ports::swapped(port)), A::gate().moment())
    }
}

impl<A: Family> FamilyMaps<A> for Kernel<'_> {
    type Fence = *mut Block;

    #[inline(always)]
    fn may_be_alone(&self) -> bool {
        A::VERSION == 6 && A::gate().has_alone()
    }

    #[inline(always)]
    fn is_blocked(&self, source: &A, key: &A, may_be_alone: bool) -> bool {
        let Some(block) = A::held_in([source, key], may_be_alone, self, A::blocked) else { return false };
        self.is_in_force(block)
    }

    #[inline(always)]
    fn is_in_blocked_network(&self, source: A) -> bool {
        A::gate().has_networks() && A::blocked_network(source).is_some_and(|block| self.is_in_force(block))
    }

    #[inline(always)]
    fn relation(&self, source: A) -> Relation {
        A::relation(source)
    }

    #[inline(always)]
    fn locality(&self, destination: A) -> Locality {
        A::local_host(destination).into()
    }

    #[inline(always)]
    fn remember(&self, destination: A, protocol: Protocol, port: u16) {
        if self.settings().remembers != 0 {
            let moment = A::follow(self.jiffies);
            let place = place(destination.ending(), ports::swapped(port));
            destination.explain(protocol, place, moment);
        }
    }

    #[inline(always)]
    fn slot(&self, protocol: Protocol, port: u16) -> Slot {
        maps::BOUND.get(slot(protocol, A::VERSION, port) as u32).copied().unwrap_or_default()
    }

    #[inline(always)]
    fn is_in_served(&self, flow: &Flow<A>, which: Served, horizon: u32) -> bool {
        if which == Served::BySyn && !may_need_syn(served::latest_needs_syn(), horizon) {
            return false;
        }
        let Probe { protocol, port, .. } = flow.probe;
        let [high, low] = flow.destination.to_mapped().halves();
        let what = served::What { port, protocol, version: A::VERSION, which };
        served::is_in(high, low, self.interface().into(), what.packed(), horizon.into()) != 0
    }

    #[inline(always)]
    fn has_socket(&self, flow: &Flow<A>) -> bool {
        let own = self.own_trap::<A>(flow.probe.protocol);
        match flow.probe.protocol {
            Protocol::Tcp => sockets::explains_tcp(self.context.as_ptr(), flow, own),
            Protocol::Udp => sockets::explains_udp(self.context.as_ptr(), flow, own),
        }
    }

    #[inline(always)]
    fn tally(&self, source: A, pair: u32, now_ns: u64) -> u32 {
        let [high, low] = source.to_mapped().halves();
        sources::count_probe(high, low, pair.into(), now_ns) as u32
    }

    #[inline(always)]
    fn count_handshake(&self, source: A, pair: u32, now_ns: u64) -> HandshakeCount {
        let [high, low] = source.to_mapped().halves();
        let counted = sources::count_handshake(high, low, pair.into(), now_ns);
        HandshakeCount { traps: counted as u32, is_connected: counted & sources::IS_CONNECTED != 0 }
    }

    #[inline(always)]
    fn mark_connected(&self, source: A, now_ns: u64) {
        let Some(handshakes) = sources::handshakes(source) else { return };
        // SAFETY: an aligned word of a map's value.
        unsafe { (*handshakes).connected_ns = now_ns };
    }

    #[inline(always)]
    fn is_repeat(&self, key: &DedupKey<A>, now_ns: u64) -> bool {
        let [high, low] = key.source.to_mapped().halves();
        sources::is_repeat(high, low, u64::from(key.port) | u64::from(key.kind) << 16, now_ns) != 0
    }

    #[inline(always)]
    fn block(&self, source: A, block: &Block) -> Entry {
        // The map's entry comes before the gate's bit: the daemon rebuilds a gate by clearing it first and reading
        // the map afterwards.
        let entry = A::enter(source, block, self.now_ns());
        open_gate(source, block, Held::Blocked);
        entry
    }

    #[inline(always)]
    fn fence_of(&self, source: &A, key: &A, may_be_alone: bool) -> Option<*mut Block> {
        let fence = A::held_in([source, key], may_be_alone, self, A::fenced)?;
        // SAFETY: as in `is_blocked`.
        if unsafe { (*fence).is_over(self.now_ns()) } { None } else { Some(fence) }
    }

    #[inline(always)]
    fn count_dropped(&self, fence: *mut Block) {
        // SAFETY: an aligned word of a map's value. A concurrent write by another CPU may lose a count: an atomic addition
        // takes a seventh of the time of the whole packet.
        unsafe { (*fence).dropped = (*fence).dropped.wrapping_add(1) };
    }

    #[inline(always)]
    fn count_fenced(&self, source: &A) {
        let key = source.without(self.settings().host_bits);
        if let Some(fence) = A::held_in([source, &key], true, self, A::fenced) {
            FamilyMaps::<A>::count_dropped(self, fence);
        }
    }

    #[inline(always)]
    fn pace(&self, source: &A, fence: Option<*mut Block>, now_ns: u64) -> bool {
        let key = source.without(self.settings().host_bits);
        let fence = fence.or_else(|| A::held_in([source, &key], true, self, A::fenced));
        // A fence that has just ended has no effect.
        let Some(fence) = fence else { return true };
        // SAFETY: an aligned word of a map's value. A concurrent write by another CPU may lose a count, but never
        // adds one.
        let paced = unsafe { &mut (*fence).paced };
        let whole = pace::take(*paced, now_ns, self.settings());
        if let Some(whole) = whole {
            *paced = whole;
        }
        whole.is_some()
    }

    #[inline(always)]
    fn may_guess(&self, source: &A, now_ns: u64) -> bool {
        let key = source.without(self.settings().host_bits);
        let Some(fence) = A::held_in([source, &key], true, self, A::fenced) else { return true };
        // SAFETY: an aligned half-word of a map's value.
        pace::may_guess(unsafe { (*fence).guessed }, now_ns, self.settings())
    }

    #[inline(always)]
    fn count_guess(&self, source: &A, now_ns: u64) {
        let key = source.without(self.settings().host_bits);
        let Some(fence) = A::held_in([source, &key], true, self, A::fenced) else { return };
        // SAFETY: as above. A concurrent write by another CPU may lose a count, but never adds one.
        let guessed = unsafe { &mut (*fence).guessed };
        if let Some(whole) = pace::guess(*guessed, now_ns) {
            *guessed = whole;
        }
    }

    #[inline(always)]
    fn last_sent_ns(&self, flow: &Flow<A>) -> u64 {
        let [high, low] = flow.source.to_mapped().halves();
        let Probe { protocol, source_port, port, .. } = flow.probe;
        flows::last_sent_ns(high, low, ports(source_port, port, protocol))
    }

    #[inline(always)]
    fn is_cookie_of_kernel(&self, _: &Flow<A>, offset: usize) -> bool {
        let context = self.context.as_ptr().cast();
        let found = match A::VERSION {
            4 => sockets::is_kernels_cookie_v4(context, offset as u64),
            _ => sockets::is_kernels_cookie_v6(context, offset as u64),
        };
        found != 0
    }

    #[inline(always)]
    fn accept(&self, flow: &Flow<A>) {
        let Probe { protocol, source_port, port, .. } = flow.probe;
        let [high, low] = flow.source.to_mapped().halves();
        flows::open(high, low, ports(source_port, port, protocol), TO_ACCEPT);
    }

    #[inline(always)]
    fn mark_opened(&self, flow: &Flow<A>) {
        let [high, low] = flow.source.to_mapped().halves();
        let Probe { protocol, source_port, port, .. } = flow.probe;
        flows::open(high, low, ports(source_port, port, protocol), IS_OPEN);
    }

    #[inline(always)]
    fn was_opened(&self, flow: &Flow<A>) -> bool {
        let [high, low] = flow.source.to_mapped().halves();
        let Probe { protocol, source_port, port, .. } = flow.probe;
        flows::was_opened(high, low, ports(source_port, port, protocol)) != 0
    }

    #[inline(always)]
    fn fence(&self, source: A, block: &Block) -> Entry {
        let entry = A::enter_fence(source, block, self.now_ns());
        open_gate(source, block, Held::Fenced);
        entry
    }

    #[inline(always)]
    fn unfence(&self, source: A) {
        A::remove_fence(source);
    }

    #[inline(always)]
    fn steer(&self, flow: &Flow<A>) {
        let Probe { protocol, source_port, port, .. } = flow.probe;
        let key = SteerKey::new(flow.source.to_mapped(), source_port, port, protocol as u8);
        // If the LRU map can't take the entry, the port stays closed.
        let _ = maps::STEERED.insert(key, 1, u64::from(BPF_ANY));
    }

    #[inline(always)]
    fn connection(&self, flow: &Flow<A>) -> Connection {
        sockets::connection(self.context.as_ptr(), flow)
    }

    #[inline(always)]
    fn is_expected(&self, flow: &Flow<A>) -> bool {
        let own = self.own_trap::<A>(Protocol::Udp);
        sockets::is_expected(self.context.as_ptr(), flow, self.settings().first_ephemeral, own)
    }
}

/// Makes the cache entries of this tick's moment valid. A separate function, because it runs once a moment, and its
/// helper calls would cost every caller registers.
#[inline(never)]
fn follow(jiffies: u64) -> u64 {
    Ipv4::follow(jiffies);
    Ipv6::follow(jiffies)
}

/// Packs a packet's ports and protocol, because a BPF function takes at most five arguments.
#[inline(always)]
const fn ports(source_port: u16, port: u16, protocol: Protocol) -> u64 {
    source_port as u64 | (port as u64) << 16 | (protocol as u64) << 32
}

/// Sets the gate's bit of an entry. For a single address also sets the word for sources held alone.
#[inline(always)]
fn open_gate<A: Family>(key: A, block: &Block, held: Held) {
    if block.prefix == 0 {
        A::gate().set_alone();
    }
    A::gate().set(key.bit(), held);
}

/// Returns this CPU's value in `map`. Looks it up only once.
#[inline(always)]
fn once<T>(known: &Cell<Option<NonNull<T>>>, map: &PerCpuArray<T, 1>) -> Option<NonNull<T>> {
    if known.get().is_none() {
        known.set(map.get_ptr_mut(0).and_then(NonNull::new));
    }
    known.get()
}
