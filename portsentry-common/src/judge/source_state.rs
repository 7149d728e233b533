//! The state of a packet's source: blocked, fenced or free.

use crate::{
    address::Address,
    counter::Counter,
    environment::{Environment, FamilyMaps},
    frame::Frame,
    gate::{Held, Near},
    parse::{Plain, link},
};

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
    source::<A, F>(frame).map_or(SourceState::Free, |source| state_of(source, env.near(source.bit()), env))
}

/// Returns the state of a source, given the maps that may hold one near it.
#[inline(always)]
pub fn suspect_state<A, F, W>(frame: &F, near: Near, env: &W) -> SourceState
where
    A: Plain,
    F: Frame,
    W: FamilyMaps<A>,
{
    source::<A, F>(frame).map_or(SourceState::Free, |source| state_of(source, near, env))
}

#[inline(always)]
pub(super) fn source<A: Plain, F: Frame>(frame: &F) -> Option<A> {
    let link = link(frame).ok()?;
    A::source(frame, &link).ok()
}

#[inline(always)]
fn state_of<A: Address, W: FamilyMaps<A>>(source: A, near: Near, env: &W) -> SourceState {
    let key = source.without(env.settings().host_bits);
    let may_be_alone = env.may_be_alone();
    if near.is_none() || !is_enforced(env) {
        SourceState::Free
    } else if near.is_in(Held::Blocked) && is_blocked(&source, &key, may_be_alone, env) {
        SourceState::Blocked
    } else if near.is_in(Held::Fenced) && env.is_fenced(&source, &key, may_be_alone) {
        SourceState::Fenced
    } else {
        SourceState::Free
    }
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
pub(super) fn is_enforced<W: Environment>(env: &W) -> bool {
    let open_after_ns = env.settings().open_after_ns;
    // The heartbeat may be later than `now_ns`, whose resolution is a tick.
    open_after_ns == 0 || env.now_ns().saturating_sub(env.heartbeat_ns()) < open_after_ns
}
