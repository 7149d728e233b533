//! The state of a packet's source: blocked, fenced or free.

use crate::{
    address::Address,
    counter::Counter,
    environment::{Environment, FamilyMaps},
    frame::Frame,
    gate::{Held as Map, Near},
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

#[inline(always)]
pub(super) fn source<A: Plain, F: Frame>(frame: &F) -> Option<A> {
    let link = link(frame).ok()?;
    A::source(frame, &link).ok()
}

#[inline(always)]
fn state_of<A: Address, W: FamilyMaps<A>>(source: A, near: Near, env: &W) -> SourceState {
    match held(source, near, env) {
        Held::Blocked => SourceState::Blocked,
        Held::Fenced(_) => SourceState::Fenced,
        Held::Free => SourceState::Free,
    }
}

/// State of a source, with its fence.
pub(super) enum Held<F> {
    Free,
    Fenced(F),
    Blocked,
}

/// Returns the state of a source, given the maps that may hold one near it.
#[inline(always)]
pub(super) fn held<A: Address, W: FamilyMaps<A>>(source: A, near: Near, env: &W) -> Held<W::Fence> {
    let key = source.without(env.settings().host_bits);
    let may_be_alone = env.may_be_alone();
    if near.is_none() || !is_enforced(env) {
        return Held::Free;
    }
    if near.is_in(Map::Blocked) && is_blocked(&source, &key, may_be_alone, env) {
        return Held::Blocked;
    }
    let fence = near.is_in(Map::Fenced).then(|| env.fence_of(&source, &key, may_be_alone)).flatten();
    fence.map_or(Held::Free, Held::Fenced)
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
