//! The report of a probe or block to the daemon, within `EVENT_RATE`.

use crate::{
    address::Address,
    counter::Counter,
    environment::{DedupKey, Environment, FamilyMaps, RateLimit, SourceKey},
    event::Event,
    flow::Flow,
    frame::Frame,
    parse::{Datagram, Link},
};

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

/// Reports `event` unless `EVENT_RATE` is exceeded or it is a repeat.
#[inline(always)]
pub(super) fn report<A: Address, W: FamilyMaps<A>>(event: &Event, key: &SourceKey<A>, env: &W) {
    let key = DedupKey { source: key.address, port: event.port, kind: event.kind };
    if !env.try_acquire(RateLimit::Report, event.time_ns) {
        env.count(Counter::OverRate);
    } else if env.is_repeat(&key, event.time_ns) {
        env.count(Counter::Repeated);
    } else {
        hand_over(env, || env.report(event));
    }
}

/// Reports a block, which can't be a repeat. If `EVENT_RATE` is exceeded, the daemon finds the block in the map.
#[inline(always)]
pub(super) fn tell_at_once<W: Environment>(event: &Event, env: &W) {
    tell_by(event.time_ns, env, || env.report(event));
}

/// Reports at `time_ns` by `report`, which returns whether there was room, unless `EVENT_RATE` is exceeded.
#[inline(always)]
pub(super) fn tell_by<W: Environment>(time_ns: u64, env: &W, report: impl FnOnce() -> bool) {
    if env.try_acquire(RateLimit::Report, time_ns) {
        hand_over(env, report);
    } else {
        env.count(Counter::OverRate);
    }
}

#[inline(always)]
fn hand_over<W: Environment>(env: &W, report: impl FnOnce() -> bool) {
    env.count(if report() { Counter::Reported } else { Counter::RingFull });
}
