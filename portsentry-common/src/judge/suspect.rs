//! Judges a packet whose source may be blocked or fenced, according to the gate.

use super::{
    Action,
    source_state::{Held, held, source},
};
use crate::{
    classify::{self, Kind},
    counter::Counter,
    environment::FamilyMaps,
    fence::never_passes,
    frame::{Bytes, Frame},
    gate::Near,
    parse::{IP, Plain, near_link},
};

/// Result of [`suspect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspect<F> {
    /// The action for the packet.
    Decided(Action),
    /// Its source is free: [`super::fast_path`] with [`super::Clear`] is next.
    Free,
    /// Its source is fenced: [`super::slow_path_fenced`] is next.
    Fenced,
    /// A SYN of a source with this fence: [`super::open()`] is next.
    Syn(F),
}

/// Judges a packet of this address family, given the maps that may hold a source near its own.
#[inline(always)]
pub fn suspect<A, F, W>(frame: &F, near: Near, env: &W) -> Suspect<W::Fence>
where
    A: Plain,
    F: Frame,
    W: FamilyMaps<A>,
{
    let Some(source) = source::<A, F>(frame) else { return Suspect::Free };
    let fence = match held(source, near, env) {
        Held::Free => return Suspect::Free,
        Held::Blocked => return Suspect::Decided(Action::Drop),
        Held::Fenced(fence) => fence,
    };
    match segment::<A, F>(frame) {
        Some(kind) if never_passes(kind, env.settings()) => {
            env.count(Counter::DroppedFenced);
            env.count_dropped(fence);
            Suspect::Decided(Action::Drop)
        }
        Some(Kind::Syn) => Suspect::Syn(fence),
        _ => Suspect::Fenced,
    }
}

/// Returns the kind of an ordinary TCP segment.
#[inline(always)]
fn segment<A: Plain, F: Frame>(frame: &F) -> Option<Kind> {
    let bytes = frame.fresh_bytes();
    let link = near_link(bytes)?;
    let packet = bytes.skip(link.length - IP);
    if !A::begins(packet.read(0)?) || !A::is_tcp(A::carrier(packet)?) {
        return None;
    }
    let control = A::tcp(packet)?;
    let kind = classify::tcp(control.flags())?;
    A::is_sound_tcp(packet, control).then_some(kind)
}
