//! The way of a packet from frame to pass or drop. The same code runs in the kernel, in tests and fuzzers.
//!
//! It must not know where the answers of its [`World`] come from. Cheap questions come first: the dominant
//! packet's source is not blocked, and it can be no probe.

mod answer;
mod fenced;

use core::hint::cold_path;

use self::{answer::answer, fenced::fenced};
use crate::{
    address::{Address, Ipv4, Ipv6},
    challenge::Challenged,
    classify::{self, Kind, Probe, Protocol, classify},
    counter::Counter,
    fence::may_answer,
    frame::{Bytes, Frame, Rewrite},
    parse::{ETHERNET, ETHERTYPE, IPV4, IPV6, Link, Malformed, Network, Payload, Plain, TCP, UDP, link},
    settings::{AckProbes, Settings},
    world::{Flow, Hosts, Locality, World},
};

/// What happens to a frame. The numbers are those of the kernel's `enum xdp_action`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is gone.
    Drop = 1,
    /// It goes on to the network stack.
    Pass = 2,
    /// It was made its own answer and goes back where it came from.
    Answer = 3,
}

/// Judges `frame`. What can't be parsed passes and is counted by its cause, except that a blocked source's
/// packets are dropped whatever they hold.
#[inline(always)]
pub fn judge<F, W>(frame: &F, world: &W) -> Action
where
    F: Rewrite,
    W: Hosts<Ipv4> + Hosts<Ipv6>,
{
    glance(frame, world).unwrap_or_else(|| examine(frame, world))
}

/// What [`examine`] would find, if it can be told at a glance: the frame holds a packet of the common make, and
/// its source is blocked, or it can't be a probe. Nearly every frame is settled here.
///
/// It is written as a straight line for the most frequent packets: what comes together again, or is still needed after
/// a call, costs registers, which BPF has few of.
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
    let ethertype = bytes.read::<u16>(ETHERTYPE)?;
    if ethertype == IPV4 {
        return glance_at::<Ipv4, _, _>(frame, bytes.skip(ETHERNET), world);
    }
    if ethertype == IPV6 {
        return glance_at::<Ipv6, _, _>(frame, bytes.skip(ETHERNET), world);
    }
    cold_path();
    let Link { network, length, .. } = link(bytes).ok()?;
    match network {
        Network::Ipv4 => glance_at::<Ipv4, _, _>(frame, bytes.skip(length), world),
        Network::Ipv6 => glance_at::<Ipv6, _, _>(frame, bytes.skip(length), world),
        Network::Other => Some(Action::Pass),
    }
}

#[inline(always)]
fn glance_at<A, F, W>(frame: &F, packet: F::Bytes, world: &W) -> Option<Action>
where
    A: Plain,
    F: Frame,
    W: Hosts<A>,
{
    if world.may_be_blocked(A::bit_of(A::prefix(packet)?)) {
        cold_path();
        return glance_at_held::<A, F, W>(frame, A::source(packet).ok()?, world);
    }
    glance_past::<A, _, _>(packet, world)
}

/// [`glance`] at a packet whose source may be blocked or fenced.
#[inline(always)]
fn glance_at_held<A, F, W>(frame: &F, source: A, world: &W) -> Option<Action>
where
    A: Plain,
    F: Frame,
    W: Hosts<A>,
{
    if is_enforced(world) {
        if is_blocked(source, world) {
            return Some(Action::Drop);
        }
        if world.is_fenced(source) {
            return None;
        }
    }
    let bytes = frame.bytes();
    glance_past::<A, _, _>(bytes.skip(link(bytes).ok()?.length), world)
}

/// [`glance`] at a packet whose source is neither blocked nor fenced.
#[inline(always)]
fn glance_past<A, B, W>(packet: B, world: &W) -> Option<Action>
where
    A: Plain,
    B: Bytes,
    W: Hosts<A>,
{
    let payload = A::payload(packet)?;
    if payload.protocol == TCP {
        let kind = classify::tcp(payload.tcp(packet)?);
        let Some(kind) = kind else { return Some(Action::Pass) };
        return settle::<A, _, _>(packet, &payload, Protocol::Tcp, kind, world);
    }
    if payload.protocol == UDP {
        payload.udp(packet)?;
        return settle::<A, _, _>(packet, &payload, Protocol::Udp, Kind::Udp, world);
    }
    cold_path();
    let is_settled = !A::is_extension(payload.protocol) && payload.is_within(packet);
    is_settled.then_some(Action::Pass)
}

/// [`glance`] past the headers.
#[inline(always)]
fn settle<A, B, W>(packet: B, payload: &Payload, protocol: Protocol, kind: Kind, world: &W) -> Option<Action>
where
    A: Plain,
    B: Bytes,
    W: Hosts<A>,
{
    let (destination, port) = A::end(packet, payload)?;
    is_harmless(destination, protocol, port, kind, world).then_some(Action::Pass)
}

/// Judges `frame` by every question there is.
#[inline(always)]
pub fn examine<F, W>(frame: &F, world: &W) -> Action
where
    F: Rewrite,
    W: Hosts<Ipv4> + Hosts<Ipv6>,
{
    match network(frame, world) {
        Network::Ipv4 => examine_as::<Ipv4, F, W>(frame, world),
        Network::Ipv6 => examine_as::<Ipv6, F, W>(frame, world),
        Network::Other => Action::Pass,
    }
}

#[inline(always)]
fn examine_as<A, F, W>(frame: &F, world: &W) -> Action
where
    A: Plain + Challenged,
    F: Rewrite,
    W: Hosts<A>,
{
    match standing::<A, F, W>(frame, world) {
        Standing::Blocked => Action::Drop,
        Standing::Fenced => examine_fenced::<A, F, W>(frame, world),
        Standing::Free => examine_free::<A, F, W>(frame, world),
    }
}

/// What `frame` carries; nothing, and counted, if it ends before that.
#[inline(always)]
pub fn network<F: Frame, W: World>(frame: &F, world: &W) -> Network {
    match link(frame.bytes()) {
        Ok(link) => link.network,
        Err(cause) => {
            world.count_malformed(cause);
            Network::Other
        }
    }
}

/// How the sender of a packet stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is neither of the others, or can't be read.
    Free,
    /// It is fenced.
    Fenced,
    /// It is blocked.
    Blocked,
}

/// How the sender of the packet of this address family in `frame` stands.
#[inline(always)]
pub fn standing<A, F, W>(frame: &F, world: &W) -> Standing
where
    A: Plain,
    F: Frame,
    W: Hosts<A>,
{
    let Ok(link) = link(frame.bytes()) else { return Standing::Free };
    let Ok(source) = A::source(frame.bytes().skip(link.length)) else { return Standing::Free };
    if !world.may_be_blocked(source.bit()) || !is_enforced(world) {
        Standing::Free
    } else if is_blocked(source, world) {
        Standing::Blocked
    } else if world.is_fenced(source) {
        Standing::Fenced
    } else {
        Standing::Free
    }
}

/// Judges a packet of this address family whose sender is neither blocked nor fenced.
#[inline(always)]
pub fn examine_free<A, F, W>(frame: &F, world: &W) -> Action
where
    A: Plain + Challenged,
    F: Rewrite,
    W: Hosts<A>,
{
    let judged = link(frame.bytes()).and_then(|link| free::<A, F, W>(frame, &link, world));
    judged.unwrap_or_else(|cause| {
        world.count_malformed(cause);
        Action::Pass
    })
}

/// Judges a packet of this address family whose sender is fenced.
#[inline(always)]
pub fn examine_fenced<A, F, W>(frame: &F, world: &W) -> Action
where
    A: Plain + Challenged,
    F: Rewrite,
    W: Hosts<A>,
{
    let judged = link(frame.bytes()).and_then(|link| fenced::<A, F, W>(frame, &link, world));
    judged.unwrap_or_else(|cause| {
        world.count_malformed(cause);
        Action::Pass
    })
}

#[inline(always)]
fn free<A, F, W>(frame: &F, link: &Link, world: &W) -> Result<Action, Malformed>
where
    A: Plain + Challenged,
    F: Rewrite,
    W: Hosts<A>,
{
    let source = A::source(frame.bytes().skip(link.length))?;
    let datagram = A::datagram(frame, link.length)?;
    let transport = datagram.transport(frame.bytes())?;
    let Some(probe) = classify(&transport) else { return Ok(Action::Pass) };
    let flow = Flow { source, destination: datagram.destination, probe };
    if is_harmless(flow.destination, probe.protocol, probe.port, probe.kind, world) {
        return Ok(Action::Pass);
    }
    let is_trap = is_trap(&probe, world);
    if is_trap && !is_open(&probe) || is_explained(&flow, world) {
        return Ok(Action::Pass);
    }
    if is_trap {
        world.count(Counter::Steered);
        world.steer(&flow);
        return Ok(Action::Pass);
    }
    Ok(answer(frame, link, &datagram, &flow, world))
}

#[inline(always)]
fn is_blocked<A: Address, W: Hosts<A>>(source: A, world: &W) -> bool {
    let is_blocked = world.is_blocked(source) || world.is_in_blocked_network(source);
    if is_blocked {
        world.count(Counter::Dropped);
    }
    is_blocked
}

/// Whether anything is dropped at all: not once the daemon, who could lift a block, has been dead for longer than the
/// settings allow (`OPEN_AFTER`).
#[inline(always)]
fn is_enforced<W: World>(world: &W) -> bool {
    let open_after_ns = world.settings().open_after_ns;
    // A heartbeat may be later than a clock that is as coarse as a tick.
    open_after_ns == 0 || world.now_ns().saturating_sub(world.heartbeat_ns()) < open_after_ns
}

/// Whether a packet can be no probe, as far as that costs next to nothing: what explained another to the same
/// destination a moment ago explains it too, or nobody watches the port.
#[inline(always)]
fn is_harmless<A, W: Hosts<A>>(destination: A, protocol: Protocol, port: u16, kind: Kind, world: &W) -> bool {
    let is_alike = kind.is_connected() || kind == Kind::Udp;
    is_alike && world.was_explained(destination, protocol, port) || !world.is_watched(protocol, port)
}

/// Whether a probe's port is a trap that takes what comes, so that it is told by the daemon's socket.
#[inline(always)]
fn is_trap<W: World>(probe: &Probe, world: &W) -> bool {
    world.settings().is_trap(probe.protocol) && world.is_listed(probe.protocol, probe.port)
}

/// Whether a socket would take it for a beginning; the other kinds are nothing to a trap, as to 1.2's `-tcp`.
#[inline(always)]
fn is_open(probe: &Probe) -> bool {
    matches!(probe.kind, Kind::Syn | Kind::Udp)
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
    match probe.kind {
        Kind::Udp => may_answer(probe),
        kind => kind.is_connected(),
    }
}
