//! The way of a packet from frame to pass or drop. The same code runs in the kernel, in tests and fuzzers.
//!
//! It must not know where the answers of its [`World`] come from. Cheap questions come first: the dominant
//! packet's source is not blocked, and it can be no probe.

mod answer;
mod fenced;
mod held;
pub(crate) mod served;

use core::hint::cold_path;

pub use self::held::held_as;
use self::{
    answer::answer,
    fenced::fenced,
    served::{is_lease, is_served, may_be_late},
};
use crate::{
    address::{Address, Ipv4, Ipv6},
    challenge::Challenged,
    classify::{self, Kind, Probe, Protocol, classify},
    counter::Counter,
    fence::may_answer,
    frame::{Bytes, Frame, Rewrite},
    parse::{CUSTOMER_TAG, ETHERTYPE, IP, IPV4, IPV6, Link, Malformed, Network, Plain, TAG, link, near_link},
    settings::{AckProbes, Settings},
    world::{Flow, Hosts, Locality, Shortcuts, World},
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

/// Judges `frame`. What can't be parsed is counted by its cause and passes, unless its source is held: nothing of a blocked
/// source passes, and nothing of a fenced one that can't be read to its transport header.
#[inline(always)]
pub fn judge<F, W>(frame: &F, world: &W) -> Action
where
    F: Rewrite,
    W: Hosts<Ipv4> + Hosts<Ipv6>,
{
    if F::IS_BARE {
        return examine(frame, world);
    }
    let is_clear = match glance(frame, world, |found| found) {
        Glance::Settled(action) => return action,
        Glance::Unsettled => false,
        Glance::NearIpv4 => match standing_near::<Ipv4, F, W>(frame, world) {
            Standing::Blocked => return Action::Drop,
            Standing::Fenced => return examine_fenced::<Ipv4, F, W>(frame, world),
            Standing::Free => true,
        },
        Glance::NearIpv6 => match standing_near::<Ipv6, F, W>(frame, world) {
            Standing::Blocked => return Action::Drop,
            Standing::Fenced => return examine_fenced::<Ipv6, F, W>(frame, world),
            Standing::Free => true,
        },
    };
    look_closer(frame, is_clear, world).unwrap_or_else(|| examine(frame, world))
}

/// What a [`glance`] finds of a frame. Nearly every one is settled, as [`examine`] would settle it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glance {
    /// What happens to it.
    Settled(Action),
    /// It is an IPv4 packet whose source may be blocked or fenced: [`standing_near`] tells.
    NearIpv4,
    /// The same of IPv6.
    NearIpv6,
    /// [`look_closer`] tells more.
    Unsettled,
}

/// A glance at a frame. It is made for the most frequent packets, those of connections, and datagrams, with one VLAN tag
/// at most (IEEE 802.1Q), whose destination and port were explained a moment ago: their way is a straight line that calls
/// nothing, saves no registers, and checks neither lengths nor IPv6's version, as what explained another explains
/// them whatever those say.
///
/// What it finds goes to `then`, in as many places as there are findings: were they brought together, the compiler would have
/// to tell them apart again.
#[inline(always)]
pub fn glance<F, W, R>(frame: &F, world: &W, then: impl Fn(Glance) -> R) -> R
where
    F: Frame,
    W: Shortcuts<Ipv4> + Shortcuts<Ipv6>,
{
    let bytes = frame.bytes();
    let packet = bytes.skip(ETHERTYPE);
    let unsettled = || {
        cold_path();
        then(Glance::Unsettled)
    };
    let is_tagged = || packet.read(0) == Some(CUSTOMER_TAG) && packet.reaches(TAG + COMMON);
    if bytes.reaches(ETHERTYPE + AMPLE) {
        return glance_from(packet, world, &then, || {
            if is_tagged() { glance_from(packet.skip(TAG), world, &then, unsettled) } else { unsettled() }
        });
    }
    if !bytes.reaches(ETHERTYPE + COMMON) {
        return unsettled();
    }
    glance_at_short(packet, world, &then, || {
        if is_tagged() { glance_at_short(packet.skip(TAG), world, &then, unsettled) } else { unsettled() }
    })
}

/// Up to TCP's control bits over IPv6, counted from the `EtherType`, so that one check of the bounds serves all that is read.
const AMPLE: usize = IP + 54;
/// Up to TCP's control bits over IPv4. Ethernet sends no frame shorter than 60 bytes.
const COMMON: usize = IP + 40;

/// A glance at a packet from its `EtherType` on; `otherwise`, if it is neither IPv4 nor IPv6 of the common make.
#[inline(always)]
fn glance_from<B, W, R>(packet: B, world: &W, then: impl Fn(Glance) -> R, otherwise: impl Fn() -> R) -> R
where
    B: Bytes,
    W: Shortcuts<Ipv4> + Shortcuts<Ipv6>,
{
    glance_at_short(packet, world, &then, || {
        if packet.read(0) == Some(IPV6) {
            return glance_as::<Ipv6, _, _, _>(packet, Glance::NearIpv6, world, &then);
        }
        cold_path();
        otherwise()
    })
}

/// The same of a packet that may be shorter than [`AMPLE`]: over IPv4, many are that only acknowledge.
#[inline(always)]
fn glance_at_short<B, W, R>(packet: B, world: &W, then: impl Fn(Glance) -> R, otherwise: impl Fn() -> R) -> R
where
    B: Bytes,
    W: Shortcuts<Ipv4>,
{
    if packet.read(0) == Some(IPV4) {
        return glance_as::<Ipv4, _, _, _>(packet, Glance::NearIpv4, world, then);
    }
    otherwise()
}

#[inline(always)]
fn glance_as<A, B, W, R>(packet: B, near: Glance, world: &W, then: impl Fn(Glance) -> R) -> R
where
    A: Plain,
    B: Bytes,
    W: Shortcuts<A>,
{
    if !A::is_in_place(packet) {
        cold_path();
        return then(Glance::Unsettled);
    }
    let Some(prefix) = A::prefix(packet) else { return then(Glance::Unsettled) };
    if world.may_be_blocked(A::bit_of(prefix)) {
        cold_path();
        return then(near);
    }
    let Some(carrier) = A::carrier(packet) else { return then(Glance::Unsettled) };
    if A::is_tcp(carrier) && A::tcp(packet).is_some_and(classify::is_ack) {
        return glance_at_port::<A, _, _, _>(packet, Protocol::Tcp, world, then);
    }
    if A::is_udp(carrier) {
        return glance_at_port::<A, _, _, _>(packet, Protocol::Udp, world, then);
    }
    cold_path();
    then(Glance::Unsettled)
}

#[inline(always)]
fn glance_at_port<A, B, W, R>(packet: B, protocol: Protocol, world: &W, then: impl Fn(Glance) -> R) -> R
where
    A: Plain,
    B: Bytes,
    W: Shortcuts<A>,
{
    if let (Some(port), Some(ending), Some(destination)) =
        (A::port(packet), A::destination_ending(packet), A::destination(packet))
        && world.was_explained(destination, ending, protocol, port)
    {
        return then(Glance::Settled(Action::Pass));
    }
    cold_path();
    then(Glance::Unsettled)
}

/// A closer look at a frame: behind all its VLAN tags, at its lengths, and whether anybody watches the port. `is_clear` says
/// that its source is known to be neither blocked nor fenced. Nothing, if only [`examine`] tells.
#[inline(always)]
pub fn look_closer<F, W>(frame: &F, is_clear: bool, world: &W) -> Option<Action>
where
    F: Frame,
    W: Hosts<Ipv4> + Hosts<Ipv6>,
{
    let bytes = frame.bytes();
    let link = near_link(bytes)?;
    let packet = bytes.skip(link.length - IP);
    match link.network {
        Network::Ipv4 => look_closer_as::<Ipv4, _, _>(packet, is_clear, world),
        Network::Ipv6 => look_closer_as::<Ipv6, _, _>(packet, is_clear, world),
        Network::Other => Some(Action::Pass),
        Network::Buried => None,
    }
}

#[inline(always)]
fn look_closer_as<A, B, W>(packet: B, is_clear: bool, world: &W) -> Option<Action>
where
    A: Plain,
    B: Bytes,
    W: Hosts<A>,
{
    let beginning = packet.read(0)?;
    let prefix = A::prefix(packet)?;
    if !is_clear && world.may_be_blocked(A::bit_of(prefix)) || !A::begins(beginning) {
        return None;
    }
    let carrier = A::carrier(packet)?;
    if A::is_tcp(carrier) {
        let control = A::tcp(packet)?;
        let is_sound = || A::is_sound_tcp(packet, control);
        return look_at_port::<A, _, _>(
            packet,
            Protocol::Tcp,
            classify::tcp(control.flags()),
            is_sound,
            world,
        );
    }
    if A::is_udp(carrier) {
        let is_sound = || A::is_sound_udp(packet);
        return look_at_port::<A, _, _>(packet, Protocol::Udp, Some(Kind::Udp), is_sound, world);
    }
    (A::is_plain(carrier) && A::is_sound(packet, |_| true)).then_some(Action::Pass)
}

/// A look at what may be a probe of that kind.
#[inline(always)]
fn look_at_port<A, B, W>(
    packet: B,
    protocol: Protocol,
    kind: Option<Kind>,
    is_sound: impl Fn() -> bool,
    world: &W,
) -> Option<Action>
where
    A: Plain,
    B: Bytes,
    W: Hosts<A>,
{
    let port = A::port(packet)?;
    let destination = A::destination(packet)?;
    let may_be_explained = kind.is_some_and(may_be_explained);
    if may_be_explained && world.was_explained(destination, destination.ending(), protocol, port) {
        return Some(Action::Pass);
    }
    if !is_sound() || kind.is_some() && world.is_watched(protocol, port) {
        return None;
    }
    if may_be_explained {
        world.remember(destination, protocol, port);
    }
    Some(Action::Pass)
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
        Network::Buried => Action::Drop,
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

/// What `frame` carries; counted, if it ends before that, or has it behind too many tags.
#[inline(always)]
pub fn network<F: Frame, W: World>(frame: &F, world: &W) -> Network {
    match link(frame) {
        Ok(link) => {
            if link.network == Network::Buried {
                world.count_malformed(Malformed::Link);
            }
            link.network
        }
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
    match source::<A, F>(frame) {
        Some(source) if world.may_be_blocked(source.bit()) => standing_of(source, world),
        _ => Standing::Free,
    }
}

/// The same, if it is known that its sender may be blocked.
#[inline(always)]
pub fn standing_near<A, F, W>(frame: &F, world: &W) -> Standing
where
    A: Plain,
    F: Frame,
    W: Hosts<A>,
{
    source::<A, F>(frame).map_or(Standing::Free, |source| standing_of(source, world))
}

#[inline(always)]
fn source<A: Plain, F: Frame>(frame: &F) -> Option<A> {
    let link = link(frame).ok()?;
    A::source(frame, &link).ok()
}

#[inline(always)]
fn standing_of<A: Address, W: Hosts<A>>(source: A, world: &W) -> Standing {
    let key = source.without(world.settings().host_bits);
    let may_be_alone = world.may_be_alone();
    if !is_enforced(world) {
        Standing::Free
    } else if is_blocked(&source, &key, may_be_alone, world) {
        Standing::Blocked
    } else if world.is_fenced(&source, &key, may_be_alone) {
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
    let judged = link(frame).and_then(|link| free::<A, F, W>(frame, &link, world));
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
    let judged = link(frame).and_then(|link| fenced::<A, F, W>(frame, &link, world));
    judged.unwrap_or_else(|cause| {
        world.count_malformed(cause);
        world.count(Counter::DroppedFenced);
        if let Some(source) = source::<A, F>(frame) {
            world.count_fenced(source);
        }
        Action::Drop
    })
}

#[inline(always)]
fn free<A, F, W>(frame: &F, link: &Link, world: &W) -> Result<Action, Malformed>
where
    A: Plain + Challenged,
    F: Rewrite,
    W: Hosts<A>,
{
    let source = A::source(frame, link)?;
    let datagram = A::datagram(frame, link)?;
    let transport = datagram.transport(frame)?;
    let Some(probe) = classify(&transport) else { return Ok(Action::Pass) };
    let flow = Flow { source, destination: datagram.destination, probe };
    if probe.kind == Kind::Chain {
        cold_path();
        if world.locality(flow.destination) == Locality::Foreign || !source.is_unicast() {
            return Err(Malformed::Extensions);
        }
    } else if is_harmless(flow.destination, probe.protocol, probe.port, probe.kind, world)
        || goes_to_a_socket(&flow, world)
    {
        return Ok(Action::Pass);
    }
    Ok(answer(frame, link, &datagram, &flow, world))
}

/// Whether a packet to a watched port goes to a service, or to a trap, for which the daemon's socket then takes it.
#[inline(always)]
fn goes_to_a_socket<A: Address, W: Hosts<A>>(flow: &Flow<A>, world: &W) -> bool {
    let is_trap = is_trap(&flow.probe, world);
    if is_trap && !is_open(&flow.probe) || is_explained(flow, world) {
        return true;
    }
    if is_trap {
        world.count(Counter::Steered);
        world.steer(flow);
    }
    is_trap
}

#[inline(always)]
fn is_blocked<A: Address, W: Hosts<A>>(source: &A, key: &A, may_be_alone: bool, world: &W) -> bool {
    let is_blocked = world.is_blocked(source, key, may_be_alone) || world.is_in_blocked_network(*source);
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
fn is_harmless<A, W>(destination: A, protocol: Protocol, port: u16, kind: Kind, world: &W) -> bool
where
    A: Address,
    W: Hosts<A>,
{
    may_be_explained(kind) && world.was_explained(destination, destination.ending(), protocol, port)
        || !world.is_watched(protocol, port)
}

/// Whether what explained another packet to the same port explains one of this kind.
#[inline(always)]
fn may_be_explained(kind: Kind) -> bool {
    kind.is_connected() || kind == Kind::Udp
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
        world.remember(flow.destination, flow.probe.protocol, flow.probe.port);
        return true;
    }
    match world.locality(flow.destination) {
        Locality::Foreign => {
            world.remember(flow.destination, flow.probe.protocol, flow.probe.port);
            return true;
        }
        Locality::Own if may_be_late(&flow.probe, world.settings()) => {
            world.remember(flow.destination, flow.probe.protocol, flow.probe.port);
            return true;
        }
        // Not remembered: another datagram to that port may be a probe.
        Locality::Own if is_lease(A::VERSION, &flow.probe) => return true,
        Locality::Own if is_served(flow, world) => {
            world.remember(flow.destination, flow.probe.protocol, flow.probe.port);
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
