//! The way of a packet from frame to pass or drop. The same code runs in the kernel, in tests and fuzzers.
//!
//! It must not know where the answers of its [`World`] come from. Cheap questions come first: the dominant
//! packet's source is not blocked, and it can be no probe.

use core::hint::cold_path;

use crate::{
    address::{Address, Ipv4, Ipv6},
    block::{Block, Origin},
    classify::{self, Kind, Probe, Protocol, classify},
    counter::Counter,
    decide::{Verdict, counts, decide},
    event::Event,
    frame::{Bytes, Frame},
    parse::{Datagram, ETHERNET, Link, Malformed, Network, Plain, TCP, UDP, link},
    settings::{AckProbes, Settings},
    world::{Entry, Flow, Hosts, Locality, Sight, World},
};

/// What happens to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It goes on to the network stack.
    Pass,
    /// It is gone.
    Drop,
}

/// Judges `frame`. What can't be parsed passes and is counted by its cause, except that a blocked source's
/// packets are dropped whatever they hold.
#[inline(always)]
pub fn judge<F, W>(frame: &F, world: &W) -> Action
where
    F: Frame,
    W: Hosts<Ipv4> + Hosts<Ipv6>,
{
    glance(frame, world).unwrap_or_else(|| examine(frame, world))
}

/// What [`examine`] would find, if it can be told at a glance: the frame holds a packet of the common make, and
/// its source is blocked, or it can't be a probe. Nearly every frame is settled here.
#[inline(always)]
pub fn glance<F, W>(frame: &F, world: &W) -> Option<Action>
where
    F: Frame,
    W: Hosts<Ipv4> + Hosts<Ipv6>,
{
    /// Up to the end of a UDP header over IPv4, so that one check of the bounds serves most of what is read.
    const COMMON: usize = ETHERNET + 20 + 8;
    let bytes = frame.bytes();
    if !bytes.reaches(COMMON) {
        return None;
    }
    let link = link(bytes).ok()?;
    // Each of the four apart, and each transport in it: joined, they would share registers, and spill them.
    match link {
        Link { network: Network::Ipv4, length: ETHERNET, .. } => {
            glance_at::<Ipv4, _, _>(bytes.skip(ETHERNET), world)
        }
        Link { network: Network::Ipv6, length: ETHERNET, .. } => {
            glance_at::<Ipv6, _, _>(bytes.skip(ETHERNET), world)
        }
        Link { network: Network::Ipv4, length, .. } => glance_at::<Ipv4, _, _>(bytes.skip(length), world),
        Link { network: Network::Ipv6, length, .. } => glance_at::<Ipv6, _, _>(bytes.skip(length), world),
        Link { network: Network::Other, .. } => Some(Action::Pass),
    }
}

#[inline(always)]
fn glance_at<A, B, W>(packet: B, world: &W) -> Option<Action>
where
    A: Plain,
    B: Bytes,
    W: Hosts<A>,
{
    if world.may_be_blocked(A::bit_of(A::prefix(packet)?)) && is_blocked(A::source(packet).ok()?, world) {
        return Some(Action::Drop);
    }
    let payload = A::payload(packet)?;
    match payload.protocol {
        TCP => {
            let flags = payload.tcp(packet)?;
            let Some(kind) = classify::tcp(flags) else { return Some(Action::Pass) };
            settle::<A, _, _>(packet, Protocol::Tcp, payload.port(packet)?, kind, world)
        }
        UDP => {
            payload.udp(packet)?;
            settle::<A, _, _>(packet, Protocol::Udp, payload.port(packet)?, Kind::Udp, world)
        }
        protocol => {
            cold_path();
            let is_settled = !A::is_extension(protocol) && payload.is_within(packet);
            is_settled.then_some(Action::Pass)
        }
    }
}

/// [`glance`] past the headers.
#[inline(always)]
fn settle<A, B, W>(packet: B, protocol: Protocol, port: u16, kind: Kind, world: &W) -> Option<Action>
where
    A: Plain,
    B: Bytes,
    W: Hosts<A>,
{
    is_harmless(A::destination(packet)?, protocol, port, kind, world).then_some(Action::Pass)
}

/// Judges `frame` by every question there is.
#[inline(always)]
pub fn examine<F, W>(frame: &F, world: &W) -> Action
where
    F: Frame,
    W: Hosts<Ipv4> + Hosts<Ipv6>,
{
    let judged = link(frame.bytes()).and_then(|link| match link.network {
        Network::Ipv4 => packet::<Ipv4, F, W>(frame, &link, world),
        Network::Ipv6 => packet::<Ipv6, F, W>(frame, &link, world),
        Network::Other => Ok(Action::Pass),
    });
    judged.unwrap_or_else(|cause| {
        world.count(cause.into());
        Action::Pass
    })
}

#[inline(always)]
fn packet<A, F, W>(frame: &F, link: &Link, world: &W) -> Result<Action, Malformed>
where
    A: Plain,
    F: Frame,
    W: Hosts<A>,
{
    let source = A::source(frame.bytes().skip(link.length))?;
    if world.may_be_blocked(source.bit()) && is_blocked(source, world) {
        return Ok(Action::Drop);
    }
    let datagram = A::datagram(frame, link.length)?;
    let transport = datagram.transport(frame.bytes())?;
    let Some(probe) = classify(&transport) else { return Ok(Action::Pass) };
    let flow = Flow { source, destination: datagram.destination, probe };
    if is_harmless(flow.destination, probe.protocol, probe.port, probe.kind, world)
        || is_explained(&flow, world)
    {
        return Ok(Action::Pass);
    }
    Ok(answer(frame, link, &datagram, &flow, world))
}

#[inline(always)]
fn is_blocked<A, W: Hosts<A>>(source: A, world: &W) -> bool {
    let is_blocked = world.is_blocked(source);
    if is_blocked {
        world.count(Counter::Dropped);
    }
    is_blocked
}

/// Whether a packet can be no probe, as far as that costs next to nothing: what explained another to the same
/// destination a moment ago explains it too, or nobody watches the port.
#[inline(always)]
fn is_harmless<A, W: Hosts<A>>(destination: A, protocol: Protocol, port: u16, kind: Kind, world: &W) -> bool {
    let is_alike = kind.is_connected() || kind == Kind::Udp;
    is_alike && world.was_explained(destination, protocol, port) || !world.is_watched(protocol, port)
}

/// Whether the settings want this kind at all.
#[inline(always)]
fn is_sought(kind: Kind, settings: &Settings) -> bool {
    !kind.is_connected() || settings.ack_probes != AckProbes::Off as u8
}

/// Whether a packet to a watched port is no probe: nobody looks for its kind, or something innocent explains it. It
/// isn't for us, it cannot come from a single host, a service or connection expects it, or it may be the answer to
/// a protected host.
#[inline(always)]
fn is_explained<A: Address, W: Hosts<A>>(flow: &Flow<A>, world: &W) -> bool {
    if !is_sought(flow.probe.kind, world.settings()) {
        world.remember(flow);
        return true;
    }
    match world.locality(flow.destination) {
        Locality::Foreign => {
            world.remember(flow);
            return true;
        }
        Locality::Own if world.is_served(flow) => {
            world.remember(flow);
            world.count(Counter::Served);
            return true;
        }
        Locality::Protected if may_answer_protected(&flow.probe) => return true,
        Locality::Own | Locality::Protected => {}
    }
    if !flow.source.is_unicast() {
        world.count(Counter::Implausible);
        return true;
    }
    false
}

/// Whether a packet to a protected host may belong to a connection of that host's, or answer its datagram:
/// its sockets can't be asked. Datagrams count only from a client's port to a well-known one.
#[inline(always)]
fn may_answer_protected(probe: &Probe) -> bool {
    const WELL_KNOWN: u16 = 1024;
    match probe.kind {
        Kind::Udp => probe.source_port < WELL_KNOWN || probe.port >= WELL_KNOWN,
        kind => kind.is_connected(),
    }
}

/// Counts a probe, reaches the verdict, carries it out and tells it.
#[inline(always)]
fn answer<A, F, W>(frame: &F, link: &Link, datagram: &Datagram<A>, flow: &Flow<A>, world: &W) -> Action
where
    A: Address,
    F: Frame,
    W: Hosts<A>,
{
    let Flow { source, probe, .. } = *flow;
    let now_ns = world.now_ns();
    world.count(Counter::Probes);
    world.count(probe.kind.into());
    let (verdict, hits) = verdict(flow, now_ns, world);
    let mut event = Event {
        time_ns: now_ns,
        source: source.to_mapped(),
        destination: flow.destination.to_mapped(),
        interface: world.interface(),
        hits,
        source_port: probe.source_port,
        port: probe.port,
        vlan: link.vlan,
        length: u16::try_from(frame.length()).unwrap_or(u16::MAX),
        protocol: probe.protocol as u8,
        kind: probe.kind as u8,
        flags: probe.flags,
        verdict: verdict as u8,
        ttl: datagram.ttl,
        options: u8::from(datagram.options),
        version: A::VERSION,
        reserved: 0,
    };
    if verdict != Verdict::Block {
        tell(&event, flow, world);
        return Action::Pass;
    }
    world.count(Counter::DroppedProbes);
    match world.block(source, &block(&event, world.settings())) {
        Entry::Entered => {
            world.count(Counter::Blocked);
            tell_at_once(&event, world);
        }
        Entry::Already => {}
        Entry::Full => {
            world.count(Counter::BlockedFull);
            event.verdict = Verdict::Full as u8;
            tell(&event, flow, world);
        }
    }
    Action::Drop
}

/// The verdict, and which probe of its source this is (0 if it doesn't count).
#[inline(always)]
fn verdict<A: Address, W: Hosts<A>>(flow: &Flow<A>, now_ns: u64, world: &W) -> (Verdict, u32) {
    let settings = world.settings();
    if world.is_ignored(flow.source) {
        world.count(Counter::Ignored);
        return (Verdict::Ignored, 0);
    }
    if !counts(&flow.probe, settings) {
        return (Verdict::Noticed, 0);
    }
    // A trigger that the first probe reaches needs no memory, which spares it under a flood.
    let hits = if settings.trigger > 1 { world.tally(flow.source, now_ns) } else { 1 };
    (decide(&flow.probe, hits, settings), hits)
}

/// The block that `event` leads to.
#[inline(always)]
fn block(event: &Event, settings: &Settings) -> Block {
    let until_ns = if settings.block_ns == 0 { 0 } else { event.time_ns.wrapping_add(settings.block_ns) };
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
        reserved: 0,
    }
}

/// Tells `event` unless the rate is exceeded or it repeats one told before.
#[inline(always)]
fn tell<A: Address, W: Hosts<A>>(event: &Event, flow: &Flow<A>, world: &W) {
    let sight = Sight { source: flow.source, port: flow.probe.port, kind: flow.probe.kind };
    if !world.may_tell(event.time_ns) {
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
    if world.may_tell(event.time_ns) {
        hand_over(event, world);
    } else {
        world.count(Counter::OverRate);
    }
}

#[inline(always)]
fn hand_over<W: World>(event: &Event, world: &W) {
    world.count(if world.tell(event) { Counter::Told } else { Counter::RingFull });
}
