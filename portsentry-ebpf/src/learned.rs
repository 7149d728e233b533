//! The questions to other hosts' ports, and what their answers teach. Other modules decide what is recorded.

use aya_ebpf::bindings::{BPF_ANY, BPF_NOEXIST};
use portsentry_common::{
    address::Ipv6,
    environment::RateLimit,
    failures::Failures,
    learned::{ANSWER_NS, PortKey, SERVED_NS, hash},
    settings::Settings,
};

use crate::{clock::now_ns, maps, settings::settings, table::Table};

/// The questions of the last seconds: a hash of each, and its time. The later of two questions with the same slot
/// overwrites the other, whose answer then teaches nothing.
static ASKED: Table<[u64; 2], SLOTS> = Table::of([0; 2]);
const SLOTS: usize = 1 << 16;

/// The initial value of a source's entry.
static NO_FAILURES: Failures = Failures::NONE;

/// The marks of questions (see [`portsentry_common::scan::mark`]), below bits of the question's hash. They are in a table
/// of their own, so that a question costs the same whether or not scans are detected. A repeated one keeps its mark.
static MARKS: Table<u32, SLOTS> = Table::of(0);
/// Bits of a word that hold the mark.
const MARK: u32 = 0xff;

/// Records a question between the addresses with these halves, and with these ports and protocol in one word.
#[inline(never)]
pub fn ask(source_high: u64, source_low: u64, high: u64, low: u64, ports: u64) -> u64 {
    let hash = hash([source_high, source_low], [high, low], ports, settings().question_key);
    let slot = ASKED.at(hash).cast::<u64>();
    // SAFETY: both words of a slot. A mixture of two questions has the hash of one of them, and the time of the other,
    // which is about the same.
    unsafe {
        slot.write_volatile(hash);
        slot.add(1).write_volatile(now_ns());
    }
    1
}

/// Records the mark of a question. `ports` holds it above the ports and the protocol.
#[inline(never)]
pub fn mark(source_high: u64, source_low: u64, high: u64, low: u64, ports: u64) -> u64 {
    let (mark, ports) = (ports >> MARK_AT, ports & ((1 << MARK_AT) - 1));
    let hash = hash([source_high, source_low], [high, low], ports, settings().question_key);
    // SAFETY: a word of the table.
    unsafe { MARKS.at(hash).write_volatile((hash >> 32) as u32 & !MARK | mark as u32) };
    1
}

/// Position of the mark in the last argument of [`mark`].
pub const MARK_AT: u32 = 40;

/// Removes the mark of a question, and returns it, or 0 if there is none.
#[inline(never)]
pub fn take_mark(source_high: u64, source_low: u64, high: u64, low: u64, ports: u64) -> u64 {
    let hash = hash([source_high, source_low], [high, low], ports, settings().question_key);
    let slot = MARKS.at(hash);
    // SAFETY: a word of the table.
    let word = unsafe { slot.read_volatile() };
    if word & !MARK != (hash >> 32) as u32 & !MARK {
        return 0;
    }
    // SAFETY: as above.
    unsafe { slot.write_volatile(0) };
    (word & MARK).into()
}

/// Removes the record of a question. Returns 1, or 0 if there was none, or it is too old.
#[inline(never)]
pub fn take(source_high: u64, source_low: u64, high: u64, low: u64, ports: u64) -> u64 {
    let hash = hash([source_high, source_low], [high, low], ports, settings().question_key);
    let slot = ASKED.at(hash).cast::<u64>();
    // SAFETY: both words of a slot.
    let [asked, asked_ns] = unsafe { [slot.read_volatile(), slot.add(1).read_volatile()] };
    if asked != hash {
        return 0;
    }
    // SAFETY: the first word of a slot.
    unsafe { slot.write_volatile(0) };
    u64::from(now_ns().saturating_sub(asked_ns) < ANSWER_NS)
}

/// The maps of learned ports.
pub const SERVED: u64 = 0;
pub const REFUSED: u64 = 1;

/// Whether the port at the address with these halves is served, or refused. Served ports are forgotten after a day. If
/// two CPUs record an answer and a refusal at the same time, the answer counts. `what` holds the port and the
/// protocol.
#[inline(never)]
pub fn is_known(high: u64, low: u64, what: u64, which: u64) -> u64 {
    let key = PortKey::new([high, low], what as u16, (what >> 16) as u8);
    if which != SERVED && maps::LEARNED_REFUSED.get_ptr_mut(key).is_none() {
        return 0;
    }
    let is_served = maps::LEARNED_SERVED.get_ptr_mut(key).is_some_and(|answered| {
        // SAFETY: an aligned word of a map's value, which stays readable while the program runs.
        now_ns().saturating_sub(unsafe { answered.read_volatile() }) < SERVED_NS
    });
    u64::from(is_served == (which == SERVED))
}

/// Records that the port has answered now: served, in which case its refusal is forgotten, or refused. Returns
/// whether the map didn't hold it. An update in place costs a tenth of an insertion.
#[inline(never)]
pub fn learn(high: u64, low: u64, what: u64, which: u64) -> u64 {
    let key = PortKey::new([high, low], what as u16, (what >> 16) as u8);
    let map = if which == SERVED { &maps::LEARNED_SERVED } else { &maps::LEARNED_REFUSED };
    let (now_ns, known) = (now_ns(), map.get_ptr_mut(key));
    let mut is_fresh = false;
    if let Some(answered) = known {
        // SAFETY: as above.
        unsafe {
            is_fresh = now_ns.saturating_sub(answered.read_volatile()) < SERVED_NS;
            answered.write_volatile(now_ns);
        }
    }
    // No refusal is recorded of a port that has answered within the time.
    if which == SERVED && !is_fresh && maps::LEARNED_REFUSED.get_ptr_mut(key).is_some() {
        let _ = maps::LEARNED_REFUSED.remove(key);
    }
    if known.is_some() || !may(RateLimit::Learn, now_ns) {
        return 0;
    }
    u64::from(map.insert(key, now_ns, u64::from(BPF_ANY)).is_ok())
}

/// Counts a question of the source with these halves to the port `pair`, which has refused others; if the packet is
/// outgoing, a refusal. Each has its rate limit. Returns the number of failures. If there is no room, they don't add
/// up.
#[inline(never)]
pub fn fail(high: u64, low: u64, pair: u64, is_outgoing: u64) -> u64 {
    let (key, now_ns, none) = (Ipv6::from_halves([high, low]), now_ns(), &NO_FAILURES);
    let mut known = maps::FAILURES.get_ptr_mut(key);
    if known.is_none() {
        let limit = if is_outgoing != 0 { RateLimit::Learn } else { RateLimit::Fail };
        if !may(limit, now_ns) {
            return 0;
        }
        let _ = maps::FAILURES.insert(key, none, u64::from(BPF_NOEXIST));
        known = maps::FAILURES.get_ptr_mut(key);
    }
    let Some(failures) = known else { return 0 };
    // SAFETY: a map's value. A concurrent write by another CPU may lose a failure, but never adds one.
    let failures = unsafe { &mut *failures };
    let window_ns = settings().tally_ns;
    u64::from(if is_outgoing != 0 {
        failures.refuse(pair as u32, now_ns, window_ns)
    } else {
        failures.suspect(pair as u32, now_ns, window_ns)
    })
}

/// Takes a failure off the source with these halves, because the port `pair` accepts, or has a connection with the
/// source. Returns the number of its failures.
#[inline(never)]
pub fn succeed(high: u64, low: u64, pair: u64, is_connected: u64) -> u64 {
    let Some(failures) = maps::FAILURES.get_ptr_mut(Ipv6::from_halves([high, low])) else { return 0 };
    let (now_ns, window_ns) = (now_ns(), settings().tally_ns);
    // SAFETY: as above. A lost success leaves a failure too many, until another success.
    let failures = unsafe { &mut *failures };
    let (pair, credit) = (pair as u32, settings().served_credit());
    if is_connected != 0 {
        failures.converse(pair, now_ns, window_ns, credit);
    } else {
        failures.accept(pair, now_ns, window_ns, credit);
    }
    failures.number(now_ns, window_ns).into()
}

/// Returns the number of failures of the source with these halves.
#[inline(never)]
pub fn failures(high: u64, low: u64) -> u64 {
    let Some(failures) = maps::FAILURES.get_ptr_mut(Ipv6::from_halves([high, low])) else { return 0 };
    // SAFETY: as above.
    unsafe { (*failures).number(now_ns(), settings().tally_ns) }.into()
}

/// Forgets the failures of the source with these halves.
#[inline(never)]
pub fn forget(high: u64, low: u64) -> u64 {
    u64::from(maps::FAILURES.remove(Ipv6::from_halves([high, low])).is_ok())
}

#[inline(always)]
fn may(limit: RateLimit, now_ns: u64) -> bool {
    let settings: &Settings = settings();
    maps::TOKEN_BUCKETS.get_ptr_mut(0).is_some_and(|buckets| {
        // SAFETY: the value belongs to this CPU, and each of these rate limits to one hook, whose programs don't
        // preempt each other.
        unsafe { (*buckets).try_acquire(limit, settings, now_ns) }
    })
}
