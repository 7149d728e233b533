//! What is done about a probe: counted, blocked or fenced, told. It must not ask whether it is one.

use super::{Action, fenced::challenge, held::held_as, is_enforced};
use crate::{
    address::Address,
    block::{Block, Origin, Proof},
    challenge::Challenged,
    counter::Counter,
    decide::{Verdict, counts, decide},
    event::Event,
    frame::{Frame, Rewrite},
    parse::{Datagram, Link},
    tally::pair,
    world::{Allowance, Entry, Flow, Held, Hosts, Kinship, Sight, World},
};

/// Counts a probe, reaches the verdict, carries it out and tells it.
#[inline(always)]
pub(super) fn answer<A, F, W>(
    frame: &F,
    link: &Link,
    datagram: &Datagram<A>,
    flow: &Flow<A>,
    world: &W,
) -> Action
where
    A: Challenged,
    F: Rewrite,
    W: Hosts<A>,
{
    let Flow { probe, .. } = *flow;
    let now_ns = world.now_ns();
    world.count(Counter::Probes);
    world.count(probe.kind.into());
    let kinship = world.kinship(flow.source);
    let held = held_as(flow.source, kinship, world.settings());
    let (verdict, hits) = verdict(flow, kinship, &held, now_ns, world);
    let mut event = event(frame, link, datagram, flow, now_ns, world);
    event.hits = hits;
    event.prefix = held.prefix;
    event.verdict = verdict as u8;
    match verdict {
        Verdict::Block => {
            let block = block(&event, world.settings().block_ns);
            enter(&mut event, &block, &held, world);
        }
        Verdict::Fence => {
            fence(&event, &held, world);
            if challenge(frame, link, datagram, flow, now_ns, world) {
                return Action::Answer;
            }
        }
        _ => {
            tell(&event, &held, world);
            return Action::Pass;
        }
    }
    world.count(Counter::DroppedProbes);
    Action::Drop
}

/// What there is to tell of a packet, whatever becomes of it.
#[inline(always)]
pub(super) fn event<A, F, W>(
    frame: &F,
    link: &Link,
    datagram: &Datagram<A>,
    flow: &Flow<A>,
    now_ns: u64,
    world: &W,
) -> Event
where
    A: Address,
    F: Frame,
    W: World,
{
    let Flow { source, destination, probe } = *flow;
    Event {
        time_ns: now_ns,
        source: source.to_mapped(),
        destination: destination.to_mapped(),
        interface: world.interface(),
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

/// Blocks the source of `event`, and tells it.
#[inline(always)]
pub(super) fn enter<A: Address, W: Hosts<A>>(
    event: &mut Event,
    block: &Block,
    held: &Held<A>,
    world: &W,
) -> Entry {
    let entry = world.block(held.key, block);
    match entry {
        Entry::Entered => {
            world.count(Counter::Blocked);
            tell_at_once(event, world);
        }
        Entry::Already => {}
        Entry::Full => {
            world.count(Counter::BlockedFull);
            event.verdict = Verdict::Full as u8;
            tell(event, held, world);
        }
    }
    entry
}

/// Fences the source of `event`, and tells it. A flood of forged sources must not turn the map over faster than a
/// real one can be told from them, so there is an allowance; the probe itself is dropped in any case.
#[inline(always)]
fn fence<A: Address, W: Hosts<A>>(event: &Event, held: &Held<A>, world: &W) {
    if !world.spend(Allowance::Fence, event.time_ns) {
        world.count(Counter::OverFences);
    } else if world.fence(held.key, &block(event, world.settings().fence_ns)) == Entry::Entered {
        world.count(Counter::Fenced);
        tell_at_once(event, world);
    }
}

/// The verdict, and which probe of its source this is (0 if it doesn't count).
#[inline(always)]
fn verdict<A: Address, W: Hosts<A>>(
    flow: &Flow<A>,
    kinship: Kinship,
    held: &Held<A>,
    now_ns: u64,
    world: &W,
) -> (Verdict, u32) {
    let settings = world.settings();
    if kinship == Kinship::Exempt {
        world.count(Counter::Ignored);
        return (Verdict::Ignored, 0);
    }
    if !counts(&flow.probe, settings) {
        return (Verdict::Noticed, 0);
    }
    // A trigger that the first probe reaches needs no memory, which spares it under a flood.
    let hits = if settings.trigger > 1 {
        world.tally(held.key, pair(flow.destination, flow.probe.port), now_ns)
    } else {
        1
    };
    match decide(&flow.probe, hits, settings) {
        Verdict::Block | Verdict::Fence if !is_enforced(world) => (Verdict::Report, hits),
        verdict => (verdict, hits),
    }
}

/// The block or fence that `event` leads to, for `length_ns` nanoseconds or, if that is 0, for good.
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
        reserved: [0; 7],
    }
}

/// Tells `event` unless the rate is exceeded or it repeats one told before.
#[inline(always)]
pub(super) fn tell<A: Address, W: Hosts<A>>(event: &Event, held: &Held<A>, world: &W) {
    let sight = Sight { source: held.key, port: event.port, kind: event.kind };
    if !world.spend(Allowance::Tell, event.time_ns) {
        world.count(Counter::OverRate);
    } else if world.is_repeat(&sight, event.time_ns) {
        world.count(Counter::Repeated);
    } else {
        hand_over(event, world);
    }
}

/// Tells of a block, which can't repeat; if the rate forbids it, the daemon finds it in the map.
#[inline(always)]
fn tell_at_once<W: World>(event: &Event, world: &W) {
    if world.spend(Allowance::Tell, event.time_ns) {
        hand_over(event, world);
    } else {
        world.count(Counter::OverRate);
    }
}

#[inline(always)]
fn hand_over<W: World>(event: &Event, world: &W) {
    world.count(if world.tell(event) { Counter::Told } else { Counter::RingFull });
}
