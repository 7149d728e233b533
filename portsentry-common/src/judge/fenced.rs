//! Packets of fenced sources.

use super::{
    Action,
    benign::{is_benign, is_trap},
    challenge::{acknowledged, challenge, is_cookie_of_kernel},
    enter::{block, enter},
    report::{event, report},
    served::is_served,
    source_key::source_key_of,
};
use crate::{
    address::Address,
    block::{Block, Proof},
    challenge::Challenged,
    classify::{Kind, Probe, Protocol},
    counter::Counter,
    decide::{Verdict, is_proven},
    environment::{Entry, Environment, FamilyMaps, HandshakeCount, Locality},
    fence::{Doing, doing, never_passes},
    flow::Flow,
    frame::{Frame, Rewrite},
    parse::{Datagram, Link, Malformed, Plain, Transport},
    settings::FencedDatagrams,
    tally::pair,
};

/// Result for a fenced source's packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fenced {
    /// The packet's action is decided.
    Settled(Action),
    /// A SYN to an own address, and the fence is open: [`super::open()`] decides.
    Syn,
    /// Undecided: [`super::slow_path_unsettled`] decides.
    Unsettled,
    /// It proves its source, and is dropped. [`super::slow_path_proof`] counts the proof.
    Proves,
}

/// Judges a packet of a fenced source.
#[inline(always)]
pub(super) fn fenced<A, F, W>(frame: &F, link: &Link, env: &W) -> Result<Fenced, Malformed>
where
    A: Challenged + Plain,
    F: Rewrite,
    W: FamilyMaps<A>,
{
    let source = A::source(frame, link)?;
    let datagram = &A::datagram(frame, link)?;
    let transport = &datagram.transport(frame)?;
    let now_ns = env.now_ns();
    let destination = datagram.destination;
    match doing(source, datagram, transport, env) {
        Doing::Belongs => return Ok(pass(env)),
        Doing::Uses(probe) => {
            // A connection to a trap doesn't make its source a client. Neither does a connection opened while
            // fenced, because the fence lets scanners open some.
            let flow = Flow { source, destination, probe };
            if !is_trap(&probe, env) && !env.was_opened(&flow) {
                env.mark_connected(source_key_of(source, env).address, now_ns);
            }
            return Ok(pass(env));
        }
        Doing::Acknowledges(_) | Doing::MayAcknowledge(_) => return Ok(Fenced::Unsettled),
        Doing::Begins(probe) => {
            env.mark_opened(&Flow { source, destination, probe });
            return Ok(pass(env));
        }
        Doing::Opens(Some(probe)) if never_passes(probe.kind, env.settings()) => {}
        Doing::Opens(Some(probe)) if is_answered_anywhere(destination, &probe, env) => {
            // A frame with a deeper link layer gets no answer: it is dropped and counted below.
            if F::IS_BARE || !link.is_deep {
                return Ok(Fenced::Syn);
            }
        }
        Doing::Opens(Some(probe)) if may_reach_a_service(destination, &probe, env) => {
            return Ok(Fenced::Unsettled);
        }
        Doing::Opens(Some(probe)) => {
            let flow = Flow { source, destination, probe };
            let is_probe = probe.kind == Kind::Syn
                && env.is_watched(probe.protocol, probe.port)
                && !is_benign(&flow, env);
            if is_probe && challenge(frame, link, datagram, &flow, now_ns, env) {
                return Ok(Fenced::Settled(Action::Answer));
            }
            // Traps accept fenced sources' connections, because a completed connection is proof.
            if is_probe && is_trap(&probe, env) && env.settings().challenge_rate == 0 {
                env.count(Counter::Steered);
                env.steer(&flow);
                return Ok(pass(env));
            }
        }
        Doing::Opens(None) => {}
    }
    env.count(Counter::DroppedFenced);
    env.count_fenced(&source);
    Ok(Fenced::Settled(Action::Drop))
}

/// Judges a packet that [`fenced`] left undecided: a segment that may complete a handshake, or a datagram that may
/// go to a service.
#[inline(always)]
pub(super) fn further<A, F, W>(frame: &F, link: &Link, env: &W) -> Result<Fenced, Malformed>
where
    A: Challenged + Plain,
    F: Rewrite,
    W: FamilyMaps<A>,
{
    let (datagram, flow) = &read::<A, F>(frame, link)?;
    let now_ns = env.now_ns();
    let protocol = flow.probe.protocol;
    let finding = match protocol {
        Protocol::Tcp => completes(frame, link, datagram, flow, now_ns, env),
        Protocol::Udp if env.pace(&flow.source, None, now_ns) => Finding::MaybeServed,
        Protocol::Udp => Finding::Drops,
    };
    let is_taken = finding == Finding::MaybeServed && is_served(flow, env);
    if is_taken && protocol == Protocol::Tcp {
        env.accept(flow);
    }
    if finding == Finding::Passes || is_taken {
        return Ok(pass(env));
    }
    env.count(Counter::DroppedFenced);
    env.count_fenced(&flow.source);
    if protocol == Protocol::Tcp && matches!(finding, Finding::MaybeServed | Finding::Proves) {
        env.count(Counter::Proven);
        return Ok(Fenced::Proves);
    }
    Ok(Fenced::Settled(Action::Drop))
}

/// Reads a TCP or UDP packet that was readable before. The kind is only a placeholder.
#[inline(always)]
fn read<A: Plain, F: Frame>(frame: &F, link: &Link) -> Result<(Datagram<A>, Flow<A>), Malformed> {
    let source = A::source(frame, link)?;
    let datagram = A::datagram(frame, link)?;
    let probe = match datagram.transport(frame)? {
        Transport::Tcp { source_port, port, flags } => {
            Probe { protocol: Protocol::Tcp, kind: Kind::Ack, source_port, port, flags: flags.0 }
        }
        Transport::Udp { source_port, port } => {
            Probe { protocol: Protocol::Udp, kind: Kind::Udp, source_port, port, flags: 0 }
        }
        _ => return Err(Malformed::Tcp),
    };
    // A single copy of the addresses: the compiler would align some of several copies in a way that the target
    // can't copy.
    Ok((datagram, Flow { source, destination: datagram.destination, probe }))
}

/// Result for a packet that no socket of this host expects.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finding {
    /// It passes.
    Passes,
    /// It is dropped.
    Drops,
    /// It completes a handshake with a trap, which proves its source.
    Proves,
    /// If its port is served, it passes, or completes a connection to the service. Otherwise it completes a
    /// handshake with a trap, or is dropped.
    MaybeServed,
}

/// Returns the result for a segment. One that acknowledges the program's cookie completes a handshake.
#[inline(always)]
fn completes<A, F, W>(
    frame: &F,
    link: &Link,
    datagram: &Datagram<A>,
    flow: &Flow<A>,
    now_ns: u64,
    env: &W,
) -> Finding
where
    A: Challenged,
    F: Frame,
    W: FamilyMaps<A>,
{
    let is_own = env.locality(flow.destination) == Locality::Own;
    match acknowledged(frame, datagram, flow, now_ns, env) {
        Some(true) if is_own && env.settings().accepts() => Finding::MaybeServed,
        Some(true) => Finding::Proves,
        // The destination's sockets are unknown.
        _ if !is_own || env.has_devices_above() => Finding::Passes,
        Some(false) if is_cookie_of_kernel(link, datagram, flow, env) => Finding::Passes,
        Some(false) => {
            env.count(Counter::Unproven);
            Finding::Drops
        }
        None => Finding::Drops,
    }
}

#[inline(always)]
fn pass<W: Environment>(env: &W) -> Fenced {
    env.count(Counter::PassedFenced);
    Fenced::Settled(Action::Pass)
}

/// Whether the open fence answers the SYN, as it does for all SYNs to the host's own addresses. The services behind
/// a gateway are unknown.
#[inline(always)]
fn is_answered_anywhere<A: Address, W: FamilyMaps<A>>(destination: A, probe: &Probe, env: &W) -> bool {
    probe.kind == Kind::Syn && env.settings().opens() && env.locality(destination) == Locality::Own
}

/// Whether the settings let a datagram outside any session reach a service (`FENCE_UDP`).
#[inline(always)]
fn may_reach_a_service<A: Address, W: FamilyMaps<A>>(destination: A, probe: &Probe, env: &W) -> bool {
    probe.kind == Kind::Udp
        && env.settings().fenced_datagrams == FencedDatagrams::Pass as u8
        && env.locality(destination) == Locality::Own
}

/// Reports an acknowledged cookie as a connection. Blocks the source once it has acknowledged the cookies of enough
/// traps. Until then, and if the blocked map is full, it stays fenced.
#[inline(always)]
pub(super) fn prove<A, F, W>(frame: &F, link: &Link, env: &W) -> Result<(), Malformed>
where
    A: Plain,
    F: Frame,
    W: FamilyMaps<A>,
{
    let (datagram, mut flow) = read::<A, F>(frame, link)?;
    flow.probe.kind = Kind::Connect;
    let now_ns = env.now_ns();
    let key = source_key_of(flow.source, env);
    let HandshakeCount { traps, is_connected } =
        env.count_handshake(key.address, pair(flow.destination, flow.probe.port), now_ns);
    let mut event = event(frame, link, &datagram, &flow, now_ns, env);
    event.hits = traps;
    event.prefix = key.prefix;
    if !is_proven(traps, is_connected, env.settings()) {
        event.verdict = Verdict::Fence as u8;
        report(&event, &key, env);
        return Ok(());
    }
    event.verdict = Verdict::Block as u8;
    let block = Block { proof: Proof::Cookie as u8, ..block(&event, env.settings().block_ns) };
    if enter(&mut event, &block, &key, env) != Entry::Full {
        env.unfence(key.address);
    }
    Ok(())
}
