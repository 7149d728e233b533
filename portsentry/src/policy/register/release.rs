//! Effects of releasing a network from a block or fence.

use super::{Change, Count, Effect, FileChange, HistoryAction, Line, Occasion, Release, Shared};

/// Returns the effects of releasing a network for `cause`. `was_fence` is `None` if the register doesn't have the
/// network. `kills` means that the `KILL_*` actions ran for it.
#[must_use]
pub fn release(cause: Release, was_fence: Option<bool>, kills: bool) -> Vec<Effect> {
    let mut effects = Vec::new();
    if cause != Release::Crowded {
        effects.push(Effect::Map(Change::Remove));
        // After a fence the source's handshakes are kept, because a slow scan may continue. After a block they are
        // cleared.
        if was_fence != Some(true) {
            effects.push(Effect::Map(Change::Forget));
        }
        // Otherwise the next failed contact would fence it again.
        if matches!(cause, Release::Administrator | Release::Exempt) {
            effects.push(Effect::Map(Change::Acquit));
        }
        // Only the number of evicted fences is logged.
        effects.push(Effect::Emit(Line::Lifted));
    }
    if was_fence.is_some() {
        // A fence that ends by itself is no entry of the history, because a flood of spoofed sources ends a million.
        let is_recorded = match cause {
            Release::Administrator | Release::Exempt | Release::Fleet => true,
            Release::Over => was_fence == Some(false),
            Release::Crowded => false,
        };
        effects.extend(is_recorded.then_some(Effect::History(HistoryAction::Lifted)));
        effects.extend([Effect::File(FileChange::Hide), Effect::Allow]);
        effects.extend(kills.then_some(Effect::Run(Occasion::Lift)));
    }
    effects.push(Effect::Metric(Count::Released(cause)));
    let is_lifted = cause == Release::Administrator && was_fence == Some(false);
    effects.extend(is_lifted.then_some(Effect::Share(Shared::Lift)));
    effects
}
