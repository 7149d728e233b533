//! What follows from a way out of a block or fence.

use super::{Change, Count, Effect, FileChange, HistoryAction, Line, Occasion, Release};

/// What is to be done about a network that is let go for `cause`: `was_fence` where the register knows it, `kills` if the
/// `KILL_*` actions were taken against it.
#[must_use]
pub fn release(cause: Release, was_fence: Option<bool>, kills: bool) -> Vec<Effect> {
    let mut effects = Vec::new();
    if cause != Release::Crowded {
        effects.push(Effect::Map(Change::Remove));
        // A fence that ends leaves its source's handshakes: a slow scan goes on. After a block they begin anew.
        if was_fence != Some(true) {
            effects.push(Effect::Map(Change::Forget));
        }
        // Of fences that are crowded out only the number is told.
        effects.push(Effect::Emit(Line::Lifted));
    }
    if was_fence.is_some() {
        // The history has what was done to a source, and an administrator's word; that a time is over follows from it.
        if cause == Release::Administrator {
            effects.push(Effect::History(HistoryAction::Lifted));
        }
        effects.extend([Effect::File(FileChange::Hide), Effect::Allow]);
        effects.extend(kills.then_some(Effect::Run(Occasion::Lift)));
    }
    effects.push(Effect::Metric(Count::Released(cause)));
    effects
}
