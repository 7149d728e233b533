//! The slow path of fenced sources, in steps: the kernel program has each verified separately.

use super::{
    Action, Fenced,
    fenced::{fenced, further, prove},
    open,
    source_state::source,
};
use crate::{
    challenge::Challenged,
    counter::Counter,
    environment::FamilyMaps,
    frame::{Frame, Rewrite},
    parse::{Plain, link},
};

/// Judges a packet of this address family from a fenced source, in all required steps.
#[inline(always)]
pub(super) fn settle_fenced<A, F, W>(frame: &F, env: &W) -> Action
where
    A: Plain + Challenged,
    F: Rewrite,
    W: FamilyMaps<A>,
{
    match slow_path_fenced::<A, F, W>(frame, env) {
        Fenced::Settled(action) => action,
        Fenced::Syn => open::<A, F, W>(frame, None, env).unwrap_or(Action::Drop),
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
