//! Packets of fenced sources, and the challenge by which a source proves itself.

use super::{
    Action,
    answer::{block, enter, event, report},
    is_benign, is_trap,
    source_key::source_key_of,
};
use crate::{
    address::Address,
    block::{Block, Proof},
    challenge::{Challenged, is_answerable, is_genuine, write},
    classify::{Kind, Probe, Protocol},
    counter::Counter,
    decide::{Verdict, is_proven},
    environment::{Entry, Environment, FamilyMaps, Flow, HandshakeCount, RateLimit},
    fence::{Doing, doing},
    frame::{Frame, Rewrite},
    parse::{Datagram, Link, Malformed, Plain, TcpFlags},
    tally::pair,
};

/// Judges a packet of a fenced source.
#[inline(always)]
pub(super) fn fenced<A, F, W>(frame: &F, link: &Link, env: &W) -> Result<Action, Malformed>
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
            // A connection to a trap does not make its source a client.
            if !is_trap(&probe, env) {
                env.mark_connected(source_key_of(source, env).address, now_ns);
            }
            return Ok(pass(env));
        }
        doing @ (Doing::Acknowledges(probe) | Doing::MayAcknowledge(probe)) => {
            let flow = Flow { source, destination, probe };
            match acknowledged(frame, datagram, &flow, now_ns, env) {
                Some(true) => {
                    env.count(Counter::Proven);
                    prove(frame, link, datagram, &flow, now_ns, env);
                }
                _ if matches!(doing, Doing::MayAcknowledge(_)) => return Ok(pass(env)),
                Some(false) => env.count(Counter::Unproven),
                None => {}
            }
        }
        Doing::Opens(Some(probe)) => {
            let flow = Flow { source, destination, probe };
            let is_probe = probe.kind == Kind::Syn
                && env.is_watched(probe.protocol, probe.port)
                && !is_benign(&flow, env);
            if is_probe && challenge(frame, link, datagram, &flow, now_ns, env) {
                return Ok(Action::Answer);
            }
            // Traps stay open to fenced sources: a connection that one accepts is proof.
            if is_probe && is_trap(&probe, env) && env.settings().challenge_rate == 0 {
                env.count(Counter::Steered);
                env.steer(&flow);
                return Ok(pass(env));
            }
        }
        Doing::Opens(None) => {}
    }
    env.count(Counter::DroppedFenced);
    env.count_fenced(source);
    Ok(Action::Drop)
}

#[inline(always)]
fn pass<W: Environment>(env: &W) -> Action {
    env.count(Counter::PassedFenced);
    Action::Pass
}

/// Rewrites a SYN into its answer with a cookie, if challenges are on and the SYN can be answered.
#[inline(always)]
pub(super) fn challenge<A, F, W>(
    frame: &F,
    link: &Link,
    datagram: &Datagram<A>,
    flow: &Flow<A>,
    now_ns: u64,
    env: &W,
) -> bool
where
    A: Challenged,
    F: Rewrite,
    W: FamilyMaps<A>,
{
    if env.settings().challenge_rate == 0
        || flow.probe.kind != Kind::Syn
        || !is_answerable(link, datagram)
        || !env.try_acquire(RateLimit::Answer, now_ns)
    {
        return false;
    }
    let Some(secrets) = env.secrets() else { return false };
    let is_written = write(frame, link, flow, secrets, now_ns);
    if is_written {
        env.count(Counter::Answered);
    }
    is_written
}

/// Whether a segment acknowledges a cookie; `None` if that wasn't checked. Any segment with ACK and neither SYN nor
/// RST completes a handshake (RFC 9293 section 3.10.7.4), also one with data or a FIN.
#[inline(always)]
fn acknowledged<A, F, W>(
    frame: &F,
    datagram: &Datagram<A>,
    flow: &Flow<A>,
    now_ns: u64,
    env: &W,
) -> Option<bool>
where
    A: Challenged,
    F: Frame,
    W: FamilyMaps<A>,
{
    const MASK: u8 = TcpFlags::SYN | TcpFlags::RST | TcpFlags::ACK;
    let Probe { flags, protocol, port, .. } = flow.probe;
    if env.settings().challenge_rate == 0
        || protocol != Protocol::Tcp
        || flags & MASK != TcpFlags::ACK
        || !env.is_watched(protocol, port)
        || !env.try_acquire(RateLimit::Check, now_ns)
    {
        return None;
    }
    let (Some(secrets), Some([sequence, acknowledged])) =
        (env.secrets(), frame.read::<[u32; 2]>(datagram.transport + 4))
    else {
        return None;
    };
    let [isn, cookie] = [sequence, acknowledged].map(|number| u32::from_be(number).wrapping_sub(1).to_be());
    Some(is_genuine(secrets, flow, isn, cookie, now_ns))
}

/// Reports an acknowledged cookie as a connection, and blocks the source once it has acknowledged cookies of enough
/// traps. Until then, and if the blocked map is full, it stays fenced.
#[inline(always)]
fn prove<A, F, W>(frame: &F, link: &Link, datagram: &Datagram<A>, flow: &Flow<A>, now_ns: u64, env: &W)
where
    A: Address,
    F: Frame,
    W: FamilyMaps<A>,
{
    let probe = Probe { kind: Kind::Connect, ..flow.probe };
    let flow = Flow { probe, ..*flow };
    let key = source_key_of(flow.source, env);
    let HandshakeCount { traps, is_connected } =
        env.count_handshake(key.address, pair(flow.destination, probe.port), now_ns);
    let mut event = event(frame, link, datagram, &flow, now_ns, env);
    event.hits = traps;
    event.prefix = key.prefix;
    if !is_proven(traps, is_connected, env.settings()) {
        event.verdict = Verdict::Fence as u8;
        report(&event, &key, env);
        return;
    }
    event.verdict = Verdict::Block as u8;
    let block = Block { proof: Proof::Cookie as u8, ..block(&event, env.settings().block_ns) };
    if enter(&mut event, &block, &key, env) != Entry::Full {
        env.unfence(key.address);
    }
}
