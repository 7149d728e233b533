//! A fenced source's packet, and the challenge by which a source proves itself. It must not know what a packet opens:
//! that is [`crate::fence`]'s.

use super::{
    Action,
    answer::{block, enter, event, tell},
    held::held,
    is_explained, is_trap,
};
use crate::{
    address::Address,
    block::{Block, Proof},
    challenge::{Challenged, is_answerable, is_genuine, write},
    classify::{Kind, Probe, Protocol},
    counter::Counter,
    decide::{Verdict, is_proven},
    fence::{Doing, doing},
    frame::{Frame, Rewrite},
    parse::{Datagram, Link, Malformed, Plain, TcpFlags},
    tally::pair,
    world::{Allowance, Entry, Flow, Hosts, Shaken, World},
};

/// Judges a packet of a fenced source.
#[inline(always)]
pub(super) fn fenced<A, F, W>(frame: &F, link: &Link, world: &W) -> Result<Action, Malformed>
where
    A: Challenged + Plain,
    F: Rewrite,
    W: Hosts<A>,
{
    let source = A::source(frame, link)?;
    let datagram = &A::datagram(frame, link)?;
    let transport = &datagram.transport(frame)?;
    let now_ns = world.now_ns();
    let destination = datagram.destination;
    match doing(source, datagram, transport, world) {
        Doing::Belongs => return Ok(pass(world)),
        Doing::Uses(probe) => {
            // A connection to a trap speaks for nobody.
            if !is_trap(&probe, world) {
                world.vouch(held(source, world).key, now_ns);
            }
            return Ok(pass(world));
        }
        doing @ (Doing::Acknowledges(probe) | Doing::MayAcknowledge(probe)) => {
            let flow = Flow { source, destination, probe };
            match acknowledged(frame, datagram, &flow, now_ns, world) {
                Some(true) => {
                    world.count(Counter::Proven);
                    prove(frame, link, datagram, &flow, now_ns, world);
                }
                _ if matches!(doing, Doing::MayAcknowledge(_)) => return Ok(pass(world)),
                Some(false) => world.count(Counter::Unproven),
                None => {}
            }
        }
        Doing::Opens(Some(probe)) => {
            let flow = Flow { source, destination, probe };
            let is_probe = probe.kind == Kind::Syn
                && world.is_watched(probe.protocol, probe.port)
                && !is_explained(&flow, world);
            if is_probe && challenge(frame, link, datagram, &flow, now_ns, world) {
                return Ok(Action::Answer);
            }
            // A trap is all that a fence leaves open: the connection that it takes is proof.
            if is_probe && is_trap(&probe, world) && world.settings().challenge_rate == 0 {
                world.count(Counter::Steered);
                world.steer(&flow);
                return Ok(pass(world));
            }
        }
        Doing::Opens(None) => {}
    }
    world.count(Counter::DroppedFenced);
    world.count_fenced(source);
    Ok(Action::Drop)
}

#[inline(always)]
fn pass<W: World>(world: &W) -> Action {
    world.count(Counter::PassedFenced);
    Action::Pass
}

/// Makes of a SYN its own answer with a cookie, if that is wanted and possible.
#[inline(always)]
pub(super) fn challenge<A, F, W>(
    frame: &F,
    link: &Link,
    datagram: &Datagram<A>,
    flow: &Flow<A>,
    now_ns: u64,
    world: &W,
) -> bool
where
    A: Challenged,
    F: Rewrite,
    W: Hosts<A>,
{
    if world.settings().challenge_rate == 0
        || flow.probe.kind != Kind::Syn
        || !is_answerable(link, datagram)
        || !world.spend(Allowance::Answer, now_ns)
    {
        return false;
    }
    let Some(secrets) = world.secrets() else { return false };
    let is_written = write(frame, link, flow, secrets, now_ns);
    if is_written {
        world.count(Counter::Answered);
    }
    is_written
}

/// Whether a segment acknowledges a cookie of ours; `None` if that isn't checked. Any segment completes a handshake that
/// carries an acknowledgement and neither SYN nor RST (RFC 9293 section 3.10.7.4): also one with data, or a FIN.
#[inline(always)]
fn acknowledged<A, F, W>(
    frame: &F,
    datagram: &Datagram<A>,
    flow: &Flow<A>,
    now_ns: u64,
    world: &W,
) -> Option<bool>
where
    A: Challenged,
    F: Frame,
    W: Hosts<A>,
{
    const MASK: u8 = TcpFlags::SYN | TcpFlags::RST | TcpFlags::ACK;
    let Probe { flags, protocol, port, .. } = flow.probe;
    if world.settings().challenge_rate == 0
        || protocol != Protocol::Tcp
        || flags & MASK != TcpFlags::ACK
        || !world.is_watched(protocol, port)
        || !world.spend(Allowance::Check, now_ns)
    {
        return None;
    }
    let (Some(secrets), Some([sequence, acknowledged])) =
        (world.secrets(), frame.read::<[u32; 2]>(datagram.transport + 4))
    else {
        return None;
    };
    let [isn, cookie] = [sequence, acknowledged].map(|number| u32::from_be(number).wrapping_sub(1).to_be());
    Some(is_genuine(secrets, flow, isn, cookie, now_ns))
}

/// Tells of a source that has acknowledged a cookie as of the connection that it was to be, and blocks it once it has done
/// so at enough traps. Until then, and if the blocked map is full, it stays fenced.
#[inline(always)]
fn prove<A, F, W>(frame: &F, link: &Link, datagram: &Datagram<A>, flow: &Flow<A>, now_ns: u64, world: &W)
where
    A: Address,
    F: Frame,
    W: Hosts<A>,
{
    let probe = Probe { kind: Kind::Connect, ..flow.probe };
    let flow = Flow { probe, ..*flow };
    let held = held(flow.source, world);
    let Shaken { traps, is_connected } = world.shake(held.key, pair(flow.destination, probe.port), now_ns);
    let mut event = event(frame, link, datagram, &flow, now_ns, world);
    event.hits = traps;
    event.prefix = held.prefix;
    if !is_proven(traps, is_connected, world.settings()) {
        event.verdict = Verdict::Fence as u8;
        tell(&event, &held, world);
        return;
    }
    event.verdict = Verdict::Block as u8;
    let block = Block { proof: Proof::Cookie as u8, ..block(&event, world.settings().block_ns) };
    if enter(&mut event, &block, &held, world) != Entry::Full {
        world.unfence(held.key);
    }
}
