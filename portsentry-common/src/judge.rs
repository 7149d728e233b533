//! Judges a frame: pass, drop or answer. The same code runs in the kernel, in tests and in fuzzers.
//!
//! Cheap checks come first, because most sources are not blocked, and most packets can't be probes.

mod answer;
mod fenced;
mod open;
pub(crate) mod served;
mod source_key;

use core::hint::cold_path;

use self::{
    answer::answer,
    fenced::{fenced, further, prove},
    served::{is_lease, is_served, may_be_late},
};
pub use self::{fenced::Fenced, open::open, source_key::source_key};
use crate::{
    address::{Address, Ipv4, Ipv6},
    challenge::Challenged,
    classify::{self, Kind, Probe, Protocol, classify},
    counter::Counter,
    environment::{Environment, FamilyMaps, FastMaps, Flow, Locality},
    fence::may_answer,
    frame::{Bytes, Frame, Rewrite},
    parse::{CUSTOMER_TAG, ETHERTYPE, IP, IPV4, IPV6, Link, Malformed, Network, Plain, TAG, link, near_link},
    settings::{AckProbes, Settings},
};

/// The action for a frame. The numbers are those of the kernel's `enum xdp_action`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The frame is dropped.
    Drop = 1,
    /// The frame continues to the network stack.
    Pass = 2,
    /// The frame was rewritten into its answer, and goes back to its sender.
    Answer = 3,
}

/// Judges `frame`. A frame that can't be parsed is counted by its cause and passes, unless its source is blocked,
/// or its source is fenced and the transport header can't be read.
#[inline(always)]
pub fn judge<F, W>(frame: &F, env: &W) -> Action
where
    F: Rewrite,
    W: FamilyMaps<Ipv4> + FamilyMaps<Ipv6>,
{
    if F::IS_BARE {
        return slow_path(frame, env);
    }
    let is_clear = match fast_path(frame, env, |found| found) {
        FastPath::Decided(action) => return action,
        FastPath::Unsettled => false,
        FastPath::SuspectIpv4 => match suspect_state::<Ipv4, F, W>(frame, env) {
            SourceState::Blocked => return Action::Drop,
            SourceState::Fenced => return settle_fenced::<Ipv4, F, W>(frame, env),
            SourceState::Free => true,
        },
        FastPath::SuspectIpv6 => match suspect_state::<Ipv6, F, W>(frame, env) {
            SourceState::Blocked => return Action::Drop,
            SourceState::Fenced => return settle_fenced::<Ipv6, F, W>(frame, env),
            SourceState::Free => true,
        },
    };
    precheck(frame, is_clear, env).unwrap_or_else(|| slow_path(frame, env))
}

/// Result of the [`fast_path`], which decides nearly every frame with the same result as [`slow_path`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FastPath {
    /// The action for the frame.
    Decided(Action),
    /// An IPv4 packet whose source may be blocked or fenced. [`suspect_state`] checks that.
    SuspectIpv4,
    /// An IPv6 packet whose source may be blocked or fenced.
    SuspectIpv6,
    /// Undecided: [`precheck`] is next.
    Unsettled,
}

/// The fast path, for the most frequent packets: segments of connections and datagrams, with at most one VLAN tag
/// (IEEE 802.1Q), to a destination and port known to be benign. It is a straight line that calls no function and
/// saves no registers. It checks neither lengths nor IPv6's version, because a cached flow is benign whatever they
/// are.
///
/// Each branch passes its own result to `then`: if the results were merged, the compiler would have to branch on
/// them again.
#[inline(always)]
pub fn fast_path<F, W, R>(frame: &F, env: &W, then: impl Fn(FastPath) -> R) -> R
where
    F: Frame,
    W: FastMaps<Ipv4> + FastMaps<Ipv6>,
{
    let bytes = frame.bytes();
    let packet = bytes.skip(ETHERTYPE);
    let unsettled = || {
        cold_path();
        then(FastPath::Unsettled)
    };
    let is_tagged = || packet.read(0) == Some(CUSTOMER_TAG) && packet.reaches(TAG + COMMON);
    if bytes.reaches(ETHERTYPE + AMPLE) {
        return fast_path_from(packet, env, &then, || {
            if is_tagged() { fast_path_from(packet.skip(TAG), env, &then, unsettled) } else { unsettled() }
        });
    }
    if !bytes.reaches(ETHERTYPE + COMMON) {
        return unsettled();
    }
    fast_path_at_short(packet, env, &then, || {
        if is_tagged() { fast_path_at_short(packet.skip(TAG), env, &then, unsettled) } else { unsettled() }
    })
}

/// Number of bytes up to TCP's control bits over IPv6, counted from the `EtherType`, so that one bounds check
/// covers all reads.
const AMPLE: usize = IP + 54;
/// Number of bytes up to TCP's control bits over IPv4. Ethernet sends no frame shorter than 60 bytes.
const COMMON: usize = IP + 40;

/// Runs the fast path on a packet from its `EtherType` on. Returns `otherwise` unless it is ordinary IPv4 or IPv6.
#[inline(always)]
fn fast_path_from<B, W, R>(packet: B, env: &W, then: impl Fn(FastPath) -> R, otherwise: impl Fn() -> R) -> R
where
    B: Bytes,
    W: FastMaps<Ipv4> + FastMaps<Ipv6>,
{
    fast_path_at_short(packet, env, &then, || {
        if packet.read(0) == Some(IPV6) {
            return fast_path_as::<Ipv6, _, _, _>(packet, FastPath::SuspectIpv6, env, &then);
        }
        cold_path();
        otherwise()
    })
}

/// Runs the fast path on a packet that may be shorter than [`AMPLE`], such as a bare acknowledgement over IPv4.
#[inline(always)]
fn fast_path_at_short<B, W, R>(
    packet: B,
    env: &W,
    then: impl Fn(FastPath) -> R,
    otherwise: impl Fn() -> R,
) -> R
where
    B: Bytes,
    W: FastMaps<Ipv4>,
{
    if packet.read(0) == Some(IPV4) {
        return fast_path_as::<Ipv4, _, _, _>(packet, FastPath::SuspectIpv4, env, then);
    }
    otherwise()
}

#[inline(always)]
fn fast_path_as<A, B, W, R>(packet: B, near: FastPath, env: &W, then: impl Fn(FastPath) -> R) -> R
where
    A: Plain,
    B: Bytes,
    W: FastMaps<A>,
{
    if !A::is_in_place(packet) {
        cold_path();
        return then(FastPath::Unsettled);
    }
    let Some(prefix) = A::prefix(packet) else { return then(FastPath::Unsettled) };
    if env.may_be_blocked(A::bit_of(prefix)) {
        cold_path();
        return then(near);
    }
    let Some(carrier) = A::carrier(packet) else { return then(FastPath::Unsettled) };
    if A::is_tcp(carrier) && A::tcp(packet).is_some_and(classify::is_ack) {
        return fast_path_at_port::<A, _, _, _>(packet, Protocol::Tcp, env, then);
    }
    if A::is_udp(carrier) {
        return fast_path_at_port::<A, _, _, _>(packet, Protocol::Udp, env, then);
    }
    cold_path();
    then(FastPath::Unsettled)
}

#[inline(always)]
fn fast_path_at_port<A, B, W, R>(packet: B, protocol: Protocol, env: &W, then: impl Fn(FastPath) -> R) -> R
where
    A: Plain,
    B: Bytes,
    W: FastMaps<A>,
{
    if let (Some(port), Some(ending), Some(destination)) =
        (A::port(packet), A::destination_ending(packet), A::destination(packet))
        && env.is_known_benign(destination, ending, protocol, port)
    {
        return then(FastPath::Decided(Action::Pass));
    }
    cold_path();
    then(FastPath::Unsettled)
}

/// The precheck: reads all VLAN tags, checks the lengths, and looks the port up in the bitmaps. `is_clear` means
/// that the source is neither blocked nor fenced. Returns `None` if only [`slow_path`] can decide.
#[inline(always)]
pub fn precheck<F, W>(frame: &F, is_clear: bool, env: &W) -> Option<Action>
where
    F: Frame,
    W: FamilyMaps<Ipv4> + FamilyMaps<Ipv6>,
{
    let bytes = frame.bytes();
    let link = near_link(bytes)?;
    let packet = bytes.skip(link.length - IP);
    match link.network {
        Network::Ipv4 => precheck_as::<Ipv4, _, _>(packet, is_clear, env),
        Network::Ipv6 => precheck_as::<Ipv6, _, _>(packet, is_clear, env),
        Network::Other => Some(Action::Pass),
        Network::Buried => None,
    }
}

#[inline(always)]
fn precheck_as<A, B, W>(packet: B, is_clear: bool, env: &W) -> Option<Action>
where
    A: Plain,
    B: Bytes,
    W: FamilyMaps<A>,
{
    let beginning = packet.read(0)?;
    let prefix = A::prefix(packet)?;
    if !is_clear && env.may_be_blocked(A::bit_of(prefix)) || !A::begins(beginning) {
        return None;
    }
    let carrier = A::carrier(packet)?;
    if A::is_tcp(carrier) {
        let control = A::tcp(packet)?;
        let is_sound = || A::is_sound_tcp(packet, control);
        return precheck_port::<A, _, _>(
            packet,
            Protocol::Tcp,
            classify::tcp(control.flags()),
            is_sound,
            env,
        );
    }
    if A::is_udp(carrier) {
        let is_sound = || A::is_sound_udp(packet);
        return precheck_port::<A, _, _>(packet, Protocol::Udp, Some(Kind::Udp), is_sound, env);
    }
    (A::is_plain(carrier) && A::is_sound(packet, |_| true)).then_some(Action::Pass)
}

/// Checks a packet that may be a probe of this kind.
#[inline(always)]
fn precheck_port<A, B, W>(
    packet: B,
    protocol: Protocol,
    kind: Option<Kind>,
    is_sound: impl Fn() -> bool,
    env: &W,
) -> Option<Action>
where
    A: Plain,
    B: Bytes,
    W: FamilyMaps<A>,
{
    let port = A::port(packet)?;
    let destination = A::destination(packet)?;
    let may_be_cached = kind.is_some_and(may_be_cached);
    if may_be_cached && env.is_known_benign(destination, destination.ending(), protocol, port) {
        return Some(Action::Pass);
    }
    if !is_sound() || kind.is_some() && env.is_watched(protocol, port) {
        return None;
    }
    if may_be_cached {
        env.remember(destination, protocol, port);
    }
    Some(Action::Pass)
}

/// Judges `frame` by all rules.
#[inline(always)]
pub fn slow_path<F, W>(frame: &F, env: &W) -> Action
where
    F: Rewrite,
    W: FamilyMaps<Ipv4> + FamilyMaps<Ipv6>,
{
    match network(frame, env) {
        Network::Ipv4 => slow_path_as::<Ipv4, F, W>(frame, env),
        Network::Ipv6 => slow_path_as::<Ipv6, F, W>(frame, env),
        Network::Other => Action::Pass,
        Network::Buried => Action::Drop,
    }
}

#[inline(always)]
fn slow_path_as<A, F, W>(frame: &F, env: &W) -> Action
where
    A: Plain + Challenged,
    F: Rewrite,
    W: FamilyMaps<A>,
{
    match source_state::<A, F, W>(frame, env) {
        SourceState::Blocked => Action::Drop,
        SourceState::Fenced => settle_fenced::<A, F, W>(frame, env),
        SourceState::Free => slow_path_free::<A, F, W>(frame, env),
    }
}

/// Returns the network layer of `frame`. Counts a frame that ends before it, or has too many tags.
#[inline(always)]
pub fn network<F: Frame, W: Environment>(frame: &F, env: &W) -> Network {
    match link(frame) {
        Ok(link) => {
            if link.network == Network::Buried {
                env.count_malformed(Malformed::Link);
            }
            link.network
        }
        Err(cause) => {
            env.count_malformed(cause);
            Network::Other
        }
    }
}

/// State of a packet's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// Neither blocked nor fenced, or the address can't be read.
    Free,
    /// Fenced.
    Fenced,
    /// Blocked.
    Blocked,
}

/// Returns the state of the source of the packet of this address family in `frame`.
#[inline(always)]
pub fn source_state<A, F, W>(frame: &F, env: &W) -> SourceState
where
    A: Plain,
    F: Frame,
    W: FamilyMaps<A>,
{
    match source::<A, F>(frame) {
        Some(source) if env.may_be_blocked(source.bit()) => state_of(source, env),
        _ => SourceState::Free,
    }
}

/// Returns the state of a source, given that a blocked or fenced one is near it.
#[inline(always)]
pub fn suspect_state<A, F, W>(frame: &F, env: &W) -> SourceState
where
    A: Plain,
    F: Frame,
    W: FamilyMaps<A>,
{
    source::<A, F>(frame).map_or(SourceState::Free, |source| state_of(source, env))
}

#[inline(always)]
fn source<A: Plain, F: Frame>(frame: &F) -> Option<A> {
    let link = link(frame).ok()?;
    A::source(frame, &link).ok()
}

#[inline(always)]
fn state_of<A: Address, W: FamilyMaps<A>>(source: A, env: &W) -> SourceState {
    let key = source.without(env.settings().host_bits);
    let may_be_alone = env.may_be_alone();
    if !is_enforced(env) {
        SourceState::Free
    } else if is_blocked(&source, &key, may_be_alone, env) {
        SourceState::Blocked
    } else if env.is_fenced(&source, &key, may_be_alone) {
        SourceState::Fenced
    } else {
        SourceState::Free
    }
}

/// Judges a packet of this address family whose source is free.
#[inline(always)]
pub fn slow_path_free<A, F, W>(frame: &F, env: &W) -> Action
where
    A: Plain + Challenged,
    F: Rewrite,
    W: FamilyMaps<A>,
{
    let judged = link(frame).and_then(|link| free::<A, F, W>(frame, &link, env));
    judged.unwrap_or_else(|cause| {
        env.count_malformed(cause);
        Action::Pass
    })
}

/// Judges a packet of this address family from a fenced source, in all required steps.
#[inline(always)]
fn settle_fenced<A, F, W>(frame: &F, env: &W) -> Action
where
    A: Plain + Challenged,
    F: Rewrite,
    W: FamilyMaps<A>,
{
    match slow_path_fenced::<A, F, W>(frame, env) {
        Fenced::Settled(action) => action,
        Fenced::Syn => open::<A, F, W>(frame, env),
        Fenced::Unsettled => match slow_path_unsettled::<A, F, W>(frame, env) {
            Fenced::Settled(action) => action,
            _ => slow_path_proof::<A, F, W>(frame, env),
        },
        Fenced::Proves => slow_path_proof::<A, F, W>(frame, env),
    }
}

/// Judges a packet of this address family from a fenced source, without a check whether its port is served.
#[inline(always)]
pub fn slow_path_fenced<A, F, W>(frame: &F, env: &W) -> Fenced
where
    A: Plain + Challenged,
    F: Rewrite,
    W: FamilyMaps<A>,
{
    let judged = link(frame).and_then(|link| fenced::<A, F, W>(frame, &link, env));
    judged.unwrap_or_else(|cause| {
        env.count_malformed(cause);
        env.count(Counter::DroppedFenced);
        if let Some(source) = source::<A, F>(frame) {
            env.count_fenced(&source);
        }
        Fenced::Settled(Action::Drop)
    })
}

/// Judges a packet that [`slow_path_fenced`] left undecided, other than a SYN for [`open()`].
#[inline(always)]
pub fn slow_path_unsettled<A, F, W>(frame: &F, env: &W) -> Fenced
where
    A: Plain + Challenged,
    F: Rewrite,
    W: FamilyMaps<A>,
{
    // Parsing succeeded before.
    let judged = link(frame).and_then(|link| further::<A, F, W>(frame, &link, env));
    judged.unwrap_or(Fenced::Settled(Action::Drop))
}

/// Blocks the source of a packet that proves it, if its handshakes suffice. Drops the packet.
#[inline(always)]
pub fn slow_path_proof<A, F, W>(frame: &F, env: &W) -> Action
where
    A: Plain,
    F: Frame,
    W: FamilyMaps<A>,
{
    // Parsing succeeded before.
    let _ = link(frame).and_then(|link| prove::<A, F, W>(frame, &link, env));
    Action::Drop
}

#[inline(always)]
fn free<A, F, W>(frame: &F, link: &Link, env: &W) -> Result<Action, Malformed>
where
    A: Plain + Challenged,
    F: Rewrite,
    W: FamilyMaps<A>,
{
    let source = A::source(frame, link)?;
    let datagram = A::datagram(frame, link)?;
    let transport = datagram.transport(frame)?;
    let Some(probe) = classify(&transport) else { return Ok(Action::Pass) };
    let flow = Flow { source, destination: datagram.destination, probe };
    if probe.kind == Kind::Chain {
        cold_path();
        if env.locality(flow.destination) == Locality::Foreign || !source.is_unicast() {
            return Err(Malformed::Extensions);
        }
    } else if is_harmless(flow.destination, probe.protocol, probe.port, probe.kind, env)
        || goes_to_a_socket(&flow, env)
    {
        return Ok(Action::Pass);
    }
    Ok(answer(frame, link, &datagram, &flow, env))
}

/// Whether a packet to a watched port goes to a service, or to a trap whose socket accepts it.
#[inline(always)]
fn goes_to_a_socket<A: Address, W: FamilyMaps<A>>(flow: &Flow<A>, env: &W) -> bool {
    let is_trap = is_trap(&flow.probe, env);
    if is_trap && !is_open(&flow.probe) || is_benign(flow, env) {
        return true;
    }
    if is_trap {
        env.count(Counter::Steered);
        env.steer(flow);
    }
    is_trap
}

#[inline(always)]
fn is_blocked<A: Address, W: FamilyMaps<A>>(source: &A, key: &A, may_be_alone: bool, env: &W) -> bool {
    let is_blocked = env.is_blocked(source, key, may_be_alone) || env.is_in_blocked_network(*source);
    if is_blocked {
        env.count(Counter::Dropped);
    }
    is_blocked
}

/// Whether blocks are enforced. Without a daemon, blocks can't be lifted, so they aren't enforced after
/// `OPEN_AFTER` without a heartbeat.
#[inline(always)]
fn is_enforced<W: Environment>(env: &W) -> bool {
    let open_after_ns = env.settings().open_after_ns;
    // The heartbeat may be later than `now_ns`, whose resolution is a tick.
    open_after_ns == 0 || env.now_ns().saturating_sub(env.heartbeat_ns()) < open_after_ns
}

/// Whether a cheap check shows that a packet can't be a probe: its destination and port are known to be benign, or
/// the port is not watched.
#[inline(always)]
fn is_harmless<A, W>(destination: A, protocol: Protocol, port: u16, kind: Kind, env: &W) -> bool
where
    A: Address,
    W: FamilyMaps<A>,
{
    may_be_cached(kind) && env.is_known_benign(destination, destination.ending(), protocol, port)
        || !env.is_watched(protocol, port)
}

/// Whether a cached benign flow covers packets of this kind.
#[inline(always)]
fn may_be_cached(kind: Kind) -> bool {
    kind.is_connected() || kind == Kind::Udp
}

/// Whether the probe's port is a trap that accepts connections or datagrams, so that the daemon's socket reports the
/// probe.
#[inline(always)]
fn is_trap<W: Environment>(probe: &Probe, env: &W) -> bool {
    env.settings().is_trap(probe.protocol) && env.is_listed(probe.protocol, probe.port)
}

/// Whether a socket would accept the packet as the first of a connection or session. A trap ignores other kinds,
/// like 1.2's `-tcp`.
#[inline(always)]
fn is_open(probe: &Probe) -> bool {
    matches!(probe.kind, Kind::Syn | Kind::Udp)
}

/// Whether the settings enable this kind.
#[inline(always)]
fn is_sought(kind: Kind, settings: &Settings) -> bool {
    !kind.is_connected() || settings.ack_probes != AckProbes::Off as u8
}

/// Whether a packet to a watched port is benign: its kind is disabled, its destination is not the host's, its
/// source can't be a single host, a service or connection expects it, or it may answer a protected host.
#[inline(always)]
fn is_benign<A: Address, W: FamilyMaps<A>>(flow: &Flow<A>, env: &W) -> bool {
    if !is_sought(flow.probe.kind, env.settings()) {
        env.remember(flow.destination, flow.probe.protocol, flow.probe.port);
        return true;
    }
    match env.locality(flow.destination) {
        Locality::Foreign => {
            env.remember(flow.destination, flow.probe.protocol, flow.probe.port);
            return true;
        }
        Locality::Own if may_be_late(&flow.probe, env.settings()) => {
            env.remember(flow.destination, flow.probe.protocol, flow.probe.port);
            return true;
        }
        // Not cached: another datagram to that port may be a probe.
        Locality::Own if is_lease(A::VERSION, &flow.probe) => return true,
        Locality::Own if is_served(flow, env) => {
            env.remember(flow.destination, flow.probe.protocol, flow.probe.port);
            env.count(Counter::Served);
            return true;
        }
        Locality::Protected if may_answer_protected(&flow.probe) => return true,
        Locality::Own | Locality::Protected => {}
    }
    if !flow.source.is_unicast() {
        env.count(Counter::Implausible);
        return true;
    }
    false
}

/// Whether a packet to a protected host may belong to a connection of that host, or answer its datagram. The host's
/// sockets are unknown. Datagrams count as probes only from a client's port to a well-known port.
#[inline(always)]
fn may_answer_protected(probe: &Probe) -> bool {
    match probe.kind {
        Kind::Udp => may_answer(probe),
        kind => kind.is_connected(),
    }
}
