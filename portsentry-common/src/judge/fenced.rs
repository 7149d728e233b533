//! A fenced source's packet, and the challenge by which a source proves itself. It must not know what a packet opens:
//! that is [`crate::fence`]'s.

use super::{
    Action,
    answer::{block, enter, event},
    is_explained,
};
use crate::{
    address::Address,
    block::{Block, Proof},
    challenge::{Challenged, is_answerable, is_genuine, write},
    classify::{Kind, Probe},
    counter::Counter,
    decide::Verdict,
    fence::{Doing, doing},
    frame::{Frame, Rewrite},
    parse::{Datagram, Link, Malformed, Plain, TcpFlags},
    world::{Allowance, Flow, Hosts},
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
        Doing::Belongs => {
            world.count(Counter::PassedFenced);
            return Ok(Action::Pass);
        }
        Doing::Acknowledges(probe) => {
            let flow = Flow { source, destination, probe };
            if acknowledges(frame, datagram, &flow, now_ns, world) {
                prove(frame, link, datagram, &flow, now_ns, world);
            }
        }
        Doing::Opens(Some(probe)) => {
            let flow = Flow { source, destination, probe };
            let is_trap = probe.kind == Kind::Syn
                && world.is_watched(probe.protocol, probe.port)
                && !is_explained(&flow, world);
            if is_trap && challenge(frame, link, datagram, &flow, now_ns, world) {
                return Ok(Action::Answer);
            }
        }
        Doing::Opens(None) => {}
    }
    world.count(Counter::DroppedFenced);
    world.count_fenced(source);
    Ok(Action::Drop)
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

/// Whether a segment acknowledges a cookie of ours.
#[inline(always)]
fn acknowledges<A, F, W>(frame: &F, datagram: &Datagram<A>, flow: &Flow<A>, now_ns: u64, world: &W) -> bool
where
    A: Challenged,
    F: Frame,
    W: Hosts<A>,
{
    let Probe { kind, flags, protocol, port, .. } = flow.probe;
    if world.settings().challenge_rate == 0
        || kind != Kind::Ack
        || flags & TcpFlags::SYN != 0
        || !world.is_watched(protocol, port)
        || !world.spend(Allowance::Check, now_ns)
    {
        return false;
    }
    let (Some(secrets), Some([sequence, acknowledged])) =
        (world.secrets(), frame.read::<[u32; 2]>(datagram.transport + 4))
    else {
        return false;
    };
    let [isn, cookie] = [sequence, acknowledged].map(|number| u32::from_be(number).wrapping_sub(1).to_be());
    let is_genuine = is_genuine(secrets, flow, isn, cookie, now_ns);
    world.count(if is_genuine { Counter::Proven } else { Counter::Unproven });
    is_genuine
}

/// Blocks a source that has acknowledged a cookie, and tells it as the connection that it was to be.
#[inline(always)]
fn prove<A, F, W>(frame: &F, link: &Link, datagram: &Datagram<A>, flow: &Flow<A>, now_ns: u64, world: &W)
where
    A: Address,
    F: Frame,
    W: Hosts<A>,
{
    let probe = Probe { kind: Kind::Connect, ..flow.probe };
    let flow = Flow { probe, ..*flow };
    let mut event = event(frame, link, datagram, &flow, now_ns, world);
    event.verdict = Verdict::Block as u8;
    event.hits = 1;
    let block = Block { proof: Proof::Cookie as u8, ..block(&event, world.settings().block_ns) };
    enter(&mut event, &block, &flow, world);
    world.unfence(flow.source);
}
