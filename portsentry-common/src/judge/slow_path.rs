//! The slow path: all rules.

use core::hint::cold_path;

use super::{
    Action, SourceState,
    answer::answer,
    benign::{is_benign, is_harmless, is_trap},
    contact,
    read::{ordinary_syn, read},
    scan,
    slow_path_fenced::settle_fenced,
    source_state,
};
use crate::{
    address::{Address, Ipv4, Ipv6},
    challenge::Challenged,
    classify::Kind,
    counter::Counter,
    environment::{Environment, FamilyMaps, Locality},
    flow::Flow,
    frame::{Frame, Rewrite},
    parse::{Link, Malformed, Network, Plain, link},
};

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
        SourceState::Free => settle_free::<A, F, W>(frame, env),
    }
}

/// Judges a packet of this address family whose source is free, in all required steps.
#[inline(always)]
pub(super) fn settle_free<A, F, W>(frame: &F, env: &W) -> Action
where
    A: Plain + Challenged,
    F: Rewrite,
    W: FamilyMaps<A>,
{
    let settings = env.settings();
    let contact = if settings.learns() { contact::<A, F, W>(frame, env) } else { None };
    let action = contact.unwrap_or_else(|| slow_path_free::<A, F, W>(frame, env));
    if action == Action::Pass && settings.detects_scans() { scan::<A, F, W>(frame, env) } else { action }
}

/// Returns the network layer of `frame`. Counts frames that end before it, or have too many tags.
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

#[inline(always)]
fn free<A, F, W>(frame: &F, link: &Link, env: &W) -> Result<Action, Malformed>
where
    A: Plain + Challenged,
    F: Rewrite,
    W: FamilyMaps<A>,
{
    let read =
        ordinary_syn::<A, F>(frame, link).map_or_else(|| read::<A, F>(frame, link), |syn| Ok(Some(syn)))?;
    let Some((datagram, flow)) = read else { return Ok(Action::Pass) };
    let Flow { source, probe, .. } = flow;
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

/// Whether a packet to a watched port goes to a service, or to a trap whose socket accepts it. The socket answers every
/// packet as an open port does: it is silent to stealth probes, and accepts fragmented SYNs. An open port resets
/// segments outside any connection, as a closed one does.
#[inline(always)]
fn goes_to_a_socket<A: Address, W: FamilyMaps<A>>(flow: &Flow<A>, env: &W) -> bool {
    let is_trap = is_trap(&flow.probe, env);
    if is_trap && flow.probe.kind.is_connected() || is_benign(flow, env) {
        return true;
    }
    if is_trap {
        env.count(Counter::Steered);
        env.steer(flow);
    }
    is_trap
}
