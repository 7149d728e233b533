//! Judges a fenced source's SYN to one of the host's own addresses, if the fence is open (`FENCE`). The same checks
//! come first for served and unserved ports.
//!
//! The source may be an innocent host whose address is spoofed: it must be able to connect. Or it may be a scanner:
//! it must not learn which ports are served. Therefore every port answers, and the answers of the program and of
//! the network stack have the same content.

use super::{
    Action,
    served::{is_hidden, is_served},
};
use crate::{
    address::Address,
    bound::{PER_SECOND, stamp},
    challenge::{Challenged, write},
    classify::{Kind, Probe, Protocol},
    counter::Counter,
    environment::{Environment, FamilyMaps, Locality, RateLimit, Served},
    flow::Flow,
    frame::{Frame, Rewrite},
    parse::{Link, Plain, TcpFlags, link, near_link},
    syn::{LEAST, Shape, WITH_SIZE, flatten, is_header_right, shape, sums},
};

/// Judges a fenced source's SYN, given its source's `fence` if known. Returns `None` if the SYN isn't addressed to this
/// host, or if the fence is shut.
#[inline(always)]
pub fn open<A, F, W>(frame: &F, fence: Option<W::Fence>, env: &W) -> Option<Action>
where
    A: Plain + Challenged,
    F: Rewrite,
    W: FamilyMaps<A>,
{
    // Parsing succeeded before.
    let Some((link, flow)) = read::<A, F>(frame) else { return Some(Action::Drop) };
    if !env.settings().opens() || env.locality(flow.destination) != Locality::Own {
        return None;
    }
    let action = opened(frame, &link, &flow, fence, env).unwrap_or(Action::Drop);
    match action {
        Action::Drop => {
            env.count(Counter::DroppedFenced);
            match fence {
                Some(fence) => env.count_dropped(fence),
                None => env.count_fenced(&flow.source),
            }
        }
        Action::Pass => env.count(Counter::PassedFenced),
        Action::Answer => env.count(Counter::Answered),
    }
    Some(action)
}

/// Returns the SYN in `frame`, parsed up to its ports. They are correct if the IP header has no options; otherwise
/// only the source is used.
#[inline(always)]
fn read<A: Plain + Challenged, F: Frame>(frame: &F) -> Option<(Link, Flow<A>)> {
    let link = if F::IS_BARE { link(frame).ok()? } else { near_link(frame.fresh_bytes())? };
    let [source_port, port] = frame.read::<[u16; 2]>(link.length + A::HEADER)?.map(u16::from_be);
    let probe = Probe { protocol: Protocol::Tcp, kind: Kind::Syn, source_port, port, flags: TcpFlags::SYN };
    let (source, destination) = (A::source(frame, &link).ok()?, A::destination_at(frame, link.length)?);
    Some((link, Flow { source, destination, probe }))
}

/// Returns the action for the SYN, or `None` if it doesn't have the form that is answered, exceeds a rate, or can't
/// be written.
#[inline(always)]
fn opened<A, F, W>(frame: &F, link: &Link, flow: &Flow<A>, fence: Option<W::Fence>, env: &W) -> Option<Action>
where
    A: Plain + Challenged,
    F: Rewrite,
    W: FamilyMaps<A>,
{
    let now_ns = env.now_ns();
    let accepts = env.settings().accepts();
    // A service's answer always offers a segment size. Where services answer, other ports therefore answer no SYN
    // without room for one.
    let least = if accepts { LEAST } else { WITH_SIZE };
    let shape = if F::IS_BARE { None } else { Some(shape::<A, _>(frame.fresh_bytes(), link, least)?) };
    if !env.pace(&flow.source, fence, now_ns) || !env.try_acquire(RateLimit::Syn, now_ns) {
        env.count(Counter::OverSyns);
        return None;
    }
    if is_left_alone(flow.probe.port, env) {
        return Some(Action::Pass);
    }
    // The kernel can't accept connections for these services or for sockets that no look-up finds.
    let needs_syn = needs_syn(flow, env);
    let reaches_a_service =
        needs_syn || if accepts && !F::IS_BARE { is_hidden(flow, env) } else { is_served(flow, env) };
    // Interfaces without an Ethernet header can't send answers.
    let Some(shape) = shape else { return reaches_a_service.then_some(Action::Pass) };
    if reaches_a_service {
        forward(frame, shape, flow, needs_syn)
    } else {
        answer(frame, link, shape, flow, now_ns, env)
    }
}

/// Whether the administrator has excluded the port, so that all packets to it reach the network stack. The stack
/// refuses them on an unserved port.
#[inline(always)]
pub(super) fn is_left_alone<W: Environment>(port: u16, env: &W) -> bool {
    env.is_excluded(port) && !env.is_watched(Protocol::Tcp, port)
}

/// Time for which a service that must see the SYN is remembered, in stamps.
const DAY: u32 = 24 * 3600 * PER_SECOND;

/// Whether the service at the destination must see the SYN itself.
#[inline(always)]
pub(super) fn needs_syn<A: Address, W: FamilyMaps<A>>(flow: &Flow<A>, env: &W) -> bool {
    env.is_in_served(flow, Served::BySyn, stamp(env.now_ns()).saturating_sub(DAY))
}

/// Forwards the SYN to a service, without the fields that would show in the service's answer. `is_for_another` says
/// that the service may be another host's.
#[inline(always)]
fn forward<A, F>(frame: &F, shape: Shape, flow: &Flow<A>, is_for_another: bool) -> Option<Action>
where
    A: Challenged,
    F: Rewrite,
{
    // The checksum isn't checked here: the network stack does, and it knows which checksums a network card has yet
    // to complete.
    let sums = sums(frame.fresh_bytes(), shape, flow)?;
    flatten(frame.fresh_bytes(), frame.room(), shape, &sums, !is_for_another).then_some(Action::Pass)
}

/// Rewrites the SYN into its own answer.
#[inline(always)]
fn answer<A, F, W>(
    frame: &F,
    link: &Link,
    shape: Shape,
    flow: &Flow<A>,
    now_ns: u64,
    env: &W,
) -> Option<Action>
where
    A: Challenged,
    F: Rewrite,
    W: FamilyMaps<A>,
{
    let bytes = frame.fresh_bytes();
    let sums = sums(bytes, shape, flow)?;
    // Peers on this machine leave the checksum to a network card. A service accepts such a SYN, so other ports must
    // answer it.
    if !(sums.is_right || sums.is_partial) || !is_header_right::<A, _>(bytes, link) {
        return None;
    }
    let secrets = env.secrets()?;
    write(frame, link, flow, secrets, &env.constants(), now_ns).then_some(Action::Answer)
}
