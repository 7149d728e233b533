//! The response to a probe: counting, blocking, fencing, and reporting.

use super::{Action, fenced::challenge, is_enforced, source_key::source_key};
use crate::{
    address::Address,
    block::{Block, Origin, Proof},
    challenge::Challenged,
    counter::Counter,
    decide::{Verdict, counts, decide},
    environment::{DedupKey, Entry, Environment, FamilyMaps, Flow, RateLimit, Relation, SourceKey},
    event::Event,
    frame::{Frame, Rewrite},
    parse::{Datagram, Link},
    tally::pair,
};

/// Counts a probe, decides on it, and applies and reports the verdict.
#[inline(always)]
pub(super) fn answer<A, F, W>(
    frame: &F,
    link: &Link,
    datagram: &Datagram<A>,
    flow: &Flow<A>,
    env: &W,
) -> Action
where
    A: Challenged,
    F: Rewrite,
    W: FamilyMaps<A>,
{
    let Flow { probe, .. } = *flow;
    let now_ns = env.now_ns();
    env.count(Counter::Probes);
    env.count(probe.kind.into());
    let relation = env.relation(flow.source);
    let key = source_key(flow.source, relation, env.settings());
    let (verdict, hits) = verdict(flow, relation, &key, now_ns, env);
    let mut event = event(frame, link, datagram, flow, now_ns, env);
    event.hits = hits;
    event.prefix = key.prefix;
    event.verdict = verdict as u8;
    match verdict {
        Verdict::Block => {
            let block = block(&event, env.settings().block_ns);
            enter(&mut event, &block, &key, env);
        }
        Verdict::Fence => {
            fence(&event, &key, env);
            if challenge(frame, link, datagram, flow, now_ns, env) {
                return Action::Answer;
            }
        }
        _ => {
            report(&event, &key, env);
            return Action::Pass;
        }
    }
    env.count(Counter::DroppedProbes);
    Action::Drop
}

/// Returns the event of a packet.
#[inline(always)]
pub(super) fn event<A, F, W>(
    frame: &F,
    link: &Link,
    datagram: &Datagram<A>,
    flow: &Flow<A>,
    now_ns: u64,
    env: &W,
) -> Event
where
    A: Address,
    F: Frame,
    W: Environment,
{
    let Flow { source, destination, probe } = *flow;
    Event {
        time_ns: now_ns,
        source: source.to_mapped(),
        destination: destination.to_mapped(),
        interface: env.interface(),
        hits: 0,
        source_port: probe.source_port,
        port: probe.port,
        vlan: link.vlan,
        length: u16::try_from(frame.length()).unwrap_or(u16::MAX),
        protocol: probe.protocol as u8,
        kind: probe.kind as u8,
        flags: probe.flags,
        verdict: 0,
        ttl: datagram.ttl,
        options: u8::from(datagram.options),
        version: A::VERSION,
        prefix: 0,
    }
}

/// Blocks the source of `event`, and reports the block.
#[inline(always)]
pub(super) fn enter<A: Address, W: FamilyMaps<A>>(
    event: &mut Event,
    block: &Block,
    key: &SourceKey<A>,
    env: &W,
) -> Entry {
    let entry = env.block(key.address, block);
    match entry {
        Entry::Entered => {
            env.count(Counter::Blocked);
            tell_at_once(event, env);
        }
        Entry::Already => {}
        Entry::Full => {
            env.count(Counter::BlockedFull);
            event.verdict = Verdict::Full as u8;
            report(event, key, env);
        }
    }
    entry
}

/// Fences the source of `event`, and reports the fence. Fences are rate-limited, so that a flood of spoofed sources
/// doesn't evict fences faster than a real source can be proven. The probe itself is dropped in any case.
#[inline(always)]
fn fence<A: Address, W: FamilyMaps<A>>(event: &Event, key: &SourceKey<A>, env: &W) {
    if !env.try_acquire(RateLimit::Fence, event.time_ns) {
        env.count(Counter::OverFences);
    } else if env.fence(key.address, &block(event, env.settings().fence_ns)) == Entry::Entered {
        env.count(Counter::Fenced);
        tell_at_once(event, env);
    }
}

/// Returns the verdict, and the number of the source's probes (0 if this kind doesn't count).
#[inline(always)]
fn verdict<A: Address, W: FamilyMaps<A>>(
    flow: &Flow<A>,
    relation: Relation,
    key: &SourceKey<A>,
    now_ns: u64,
    env: &W,
) -> (Verdict, u32) {
    let settings = env.settings();
    if relation == Relation::Exempt {
        env.count(Counter::Ignored);
        return (Verdict::Ignored, 0);
    }
    if !counts(&flow.probe, settings) {
        return (Verdict::Noticed, 0);
    }
    // A trigger of one probe needs no tally, which saves work under a flood.
    let hits = if settings.trigger > 1 {
        env.tally(key.address, pair(flow.destination, flow.probe.port), now_ns)
    } else {
        1
    };
    match decide(&flow.probe, hits, settings) {
        Verdict::Block | Verdict::Fence if !is_enforced(env) => (Verdict::Report, hits),
        verdict => (verdict, hits),
    }
}

/// Returns the block or fence that `event` causes, for `length_ns` nanoseconds, or permanent if that is 0.
#[inline(always)]
pub(super) fn block(event: &Event, length_ns: u64) -> Block {
    let until_ns = if length_ns == 0 { 0 } else { event.time_ns.wrapping_add(length_ns) };
    Block {
        since_ns: event.time_ns.cast_signed(),
        until_ns,
        dropped: 0,
        hits: event.hits,
        interface: event.interface,
        port: event.port,
        protocol: event.protocol,
        kind: event.kind,
        flags: event.flags,
        origin: Origin::Trigger as u8,
        mirrored: 0,
        proof: Proof::None as u8,
        prefix: event.prefix,
        reserved: 0,
        guessed: 0,
        paced: 0,
    }
}

/// Reports `event` unless `EVENT_RATE` is exceeded or it is a repeat.
#[inline(always)]
pub(super) fn report<A: Address, W: FamilyMaps<A>>(event: &Event, key: &SourceKey<A>, env: &W) {
    let key = DedupKey { source: key.address, port: event.port, kind: event.kind };
    if !env.try_acquire(RateLimit::Report, event.time_ns) {
        env.count(Counter::OverRate);
    } else if env.is_repeat(&key, event.time_ns) {
        env.count(Counter::Repeated);
    } else {
        hand_over(event, env);
    }
}

/// Reports a block, which can't be a repeat. If `EVENT_RATE` is exceeded, the daemon finds the block in the map.
#[inline(always)]
fn tell_at_once<W: Environment>(event: &Event, env: &W) {
    if env.try_acquire(RateLimit::Report, event.time_ns) {
        hand_over(event, env);
    } else {
        env.count(Counter::OverRate);
    }
}

#[inline(always)]
fn hand_over<W: Environment>(event: &Event, env: &W) {
    env.count(if env.report(event) { Counter::Reported } else { Counter::RingFull });
}
