//! The [`World`] of the rules, answered by maps and helpers.
//!
//! It must not hold a rule: what is asked here is decided in `portsentry-common`.

mod family;

use aya_ebpf::{
    EbpfContext,
    bindings::{BPF_ANY, BPF_NOEXIST, BPF_RB_NO_WAKEUP},
    helpers::generated::bpf_jiffies64,
    programs::XdpContext,
};
use aya_log_ebpf::debug;
use portsentry_common::{
    block::Block,
    challenge::Secrets,
    classify::{Kind, Probe, Protocol},
    counter::Counter,
    event::Event,
    gate,
    settings::Settings,
    state::{Budget, SightKey, Tally},
    world::{Allowance, Entry, Flow, Hosts, Locality, Sight, World},
};

use crate::{atomic, kernel::family::Family, maps, sockets};

const SECOND_NS: u64 = 1_000_000_000;

/// The kernel, as one packet's judgement sees it.
pub struct Kernel<'a> {
    context: &'a XdpContext,
}

impl<'a> Kernel<'a> {
    #[inline(always)]
    pub fn new(context: &'a XdpContext) -> Self {
        Self { context }
    }
}

impl World for Kernel<'_> {
    #[inline(always)]
    fn settings(&self) -> &Settings {
        // The optimiser must not take the initial value for the one that the loader writes.
        let settings = core::hint::black_box(&raw const maps::SETTINGS).cast::<Settings>();
        // SAFETY: a `Global` is its value, which is plain data that nobody writes once the program runs.
        unsafe { &*settings }
    }

    #[inline(always)]
    fn now_ns(&self) -> u64 {
        let Settings { first_jiffy, jiffy_ns, .. } = self.settings();
        // SAFETY: the helper has no preconditions.
        let jiffies = unsafe { bpf_jiffies64() };
        jiffies.wrapping_sub(*first_jiffy).wrapping_mul(*jiffy_ns)
    }

    #[inline(always)]
    fn interface(&self) -> u32 {
        self.context.ingress_ifindex() as u32
    }

    #[inline(always)]
    fn count(&self, counter: Counter) {
        let Some(counters) = maps::COUNTERS.get_ptr_mut(0) else { return };
        // SAFETY: a counter's number is its word's place in `Counters`, and the value is this CPU's own.
        unsafe { *counters.cast::<u64>().add(counter as usize) += 1 };
    }

    #[inline(always)]
    fn is_watched(&self, protocol: Protocol, port: u16) -> bool {
        let (word, mask) = (u32::from(port) / 64, 1 << (port % 64));
        let (listed, advanced) = match protocol {
            Protocol::Tcp => (maps::WATCHED_TCP.get(word), maps::ADVANCED_TCP.get(word)),
            Protocol::Udp => (maps::WATCHED_UDP.get(word), maps::ADVANCED_UDP.get(word)),
        };
        (listed.copied().unwrap_or(0) | advanced.copied().unwrap_or(0)) & mask != 0
    }

    #[inline(always)]
    fn spend(&self, allowance: Allowance, now_ns: u64) -> bool {
        let Some(budget) = maps::BUDGET.get_ptr_mut(0) else { return false };
        // SAFETY: the value is this CPU's own, and programs don't preempt each other on a CPU's queue.
        let budget = unsafe { &mut *budget };
        if now_ns.wrapping_sub(budget.start_ns) >= SECOND_NS {
            *budget = Budget { start_ns: now_ns, ..Budget::default() };
        }
        let Settings { event_rate, fence_rate, challenge_rate, .. } = *self.settings();
        let (spent, limit) = match allowance {
            Allowance::Tell => (&mut budget.told, event_rate),
            Allowance::Fence => (&mut budget.fenced, fence_rate),
            Allowance::Answer => (&mut budget.answered, challenge_rate),
            Allowance::Check => (&mut budget.checked, challenge_rate),
        };
        let may = *spent < limit;
        *spent = spent.wrapping_add(u32::from(may));
        may
    }

    #[inline(always)]
    fn secrets(&self) -> Option<&Secrets> {
        maps::SECRETS.get(0)
    }

    #[inline(always)]
    fn tell(&self, event: &Event) -> bool {
        debug!(
            self.context,
            "{:i} to port {}: protocol {}, kind {}, flags {:x}, verdict {}",
            event.source.octets,
            event.port,
            event.protocol,
            event.kind,
            event.flags,
            event.verdict
        );
        // The daemon reads on a timer: a wake-up for each record would starve it under a flood.
        maps::EVENTS.output(event, u64::from(BPF_RB_NO_WAKEUP)).is_ok()
    }
}

impl<A: Family> Hosts<A> for Kernel<'_> {
    #[inline(always)]
    fn may_be_blocked(&self, bit: u32) -> bool {
        let (word, mask) = gate::place(bit);
        let gate = A::gate(word + generation());
        gate.copied().unwrap_or(0) & mask != 0
    }

    #[inline(always)]
    fn is_blocked(&self, source: A) -> bool {
        let Some(block) = A::blocked(source) else { return false };
        // SAFETY: a hash map's value stays readable for the program's run, even if it is deleted meanwhile.
        let block = unsafe { &mut *block };
        if block.until_ns != 0 && block.is_over(self.now_ns()) {
            return false;
        }
        // SAFETY: a field of a map's value.
        unsafe { atomic::add(&raw mut block.dropped, 1) };
        true
    }

    #[inline(always)]
    fn is_ignored(&self, source: A) -> bool {
        A::ignored(source)
    }

    #[inline(always)]
    fn locality(&self, destination: A) -> Locality {
        A::local(destination).into()
    }

    #[inline(always)]
    fn was_served(&self, destination: A, probe: &Probe) -> bool {
        let cached = match probe.kind {
            Kind::Udp => maps::SERVED_UDP.get(u32::from(probe.port)),
            Kind::Ack | Kind::Maimon => maps::SERVED_TCP.get(u32::from(probe.port)),
            _ => None,
        };
        let Some(&served) = cached else { return false };
        let age = ticks(self.now_ns()).wrapping_sub(served as u32);
        (served >> 32) as u32 == destination.tag() && age < u32::from(self.settings().served_ticks)
    }

    #[inline(always)]
    fn is_served(&self, flow: &Flow<A>) -> bool {
        let (explained, cache) = match flow.probe.protocol {
            Protocol::Tcp => (sockets::explains_tcp(self.context.as_ptr(), flow), &maps::SERVED_TCP),
            Protocol::Udp => (sockets::explains_udp(self.context.as_ptr(), flow), &maps::SERVED_UDP),
        };
        if !explained {
            return false;
        }
        if let Some(served) = cache.get_ptr_mut(u32::from(flow.probe.port)) {
            let found = u64::from(flow.destination.tag()) << 32 | u64::from(ticks(self.now_ns()));
            // SAFETY: an aligned word of an array; a race loses one of two true answers.
            unsafe { *served = found };
        }
        true
    }

    #[inline(always)]
    fn tally(&self, source: A, now_ns: u64) -> u32 {
        let key = source.to_mapped();
        if let Some(tally) = maps::SOURCES.get_ptr_mut(key) {
            // SAFETY: fields of a map's value.
            unsafe {
                (*tally).last_ns = now_ns;
                return (atomic::fetch_add(&raw mut (*tally).hits, 1) + 1) as u32;
            }
        }
        let _ = maps::SOURCES.insert(key, Tally { hits: 1, last_ns: now_ns }, u64::from(BPF_NOEXIST));
        1
    }

    #[inline(always)]
    fn is_repeat(&self, sight: &Sight<A>, now_ns: u64) -> bool {
        let key = SightKey {
            source: sight.source.to_mapped(),
            port: sight.port,
            kind: sight.kind as u8,
            reserved: [0; 5],
        };
        if let Some(told) = maps::SIGHTS.get_ptr_mut(key) {
            // SAFETY: an aligned word of a map's value.
            let told = unsafe { &mut *told };
            if now_ns.wrapping_sub(*told) < self.settings().repeat_ns {
                return true;
            }
            *told = now_ns;
            return false;
        }
        let _ = maps::SIGHTS.insert(key, now_ns, u64::from(BPF_ANY));
        false
    }

    #[inline(always)]
    fn block(&self, source: A, block: &Block) -> Entry {
        // The map before the gate: whoever rebuilds a gate clears it first and reads the map then.
        let entry = A::enter(source, block, self.now_ns());
        open_gate(source);
        entry
    }

    #[inline(always)]
    fn is_fenced(&self, source: A) -> bool {
        let Some(fence) = A::fenced(source) else { return false };
        // SAFETY: as in `is_blocked`.
        unsafe { !(*fence).is_over(self.now_ns()) }
    }

    #[inline(always)]
    fn count_fenced(&self, source: A) {
        let Some(fence) = A::fenced(source) else { return };
        // SAFETY: a field of a map's value.
        unsafe { atomic::add(&raw mut (*fence).dropped, 1) };
    }

    #[inline(always)]
    fn fence(&self, source: A, block: &Block) -> Entry {
        let entry = A::enter_fence(source, block, self.now_ns());
        open_gate(source);
        entry
    }

    #[inline(always)]
    fn unfence(&self, source: A) {
        A::remove_fence(source);
    }

    #[inline(always)]
    fn is_connected(&self, flow: &Flow<A>) -> bool {
        sockets::is_connected(self.context.as_ptr(), flow)
    }

    #[inline(always)]
    fn is_expected(&self, flow: &Flow<A>) -> bool {
        sockets::is_expected(self.context.as_ptr(), flow, self.settings().first_ephemeral)
    }
}

/// Sets a source's bit in both generations of its gate.
#[inline(always)]
fn open_gate<A: Family>(source: A) {
    let (word, mask) = gate::place(source.bit());
    for generation in [0, gate::WORDS] {
        if let Some(word) = A::gate_mut(word + generation) {
            // SAFETY: a word of an array.
            unsafe { atomic::set_bits(word, mask) };
        }
    }
}

/// Offset of the gate generation that counts. On every packet's way, and cheaper so than by `settings`.
#[inline(always)]
fn generation() -> u32 {
    let settings = (&raw const maps::SETTINGS).cast::<Settings>();
    // SAFETY: as in `settings`; volatile, for the optimiser must not take the initial value for the loader's.
    unsafe { (&raw const (*settings).gate).read_volatile() }
}

/// Time in units of 2^24 ns (17 ms), for which 32 bits last two years.
#[inline(always)]
fn ticks(now_ns: u64) -> u32 {
    (now_ns >> 24) as u32
}
