//! Effects of releasing a network from a block or fence.

use super::{Change, Count, Effect, FileChange, HistoryAction, Line, Occasion, Release};

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
        // Only the number of evicted fences is logged.
        effects.push(Effect::Emit(Line::Lifted));
    }
    if was_fence.is_some() {
        // The history records actions on a source, an administrator's requests, and releases before the end. Expiry
        // follows from these.
        if matches!(cause, Release::Administrator | Release::Exempt) {
            effects.push(Effect::History(HistoryAction::Lifted));
        }
        effects.extend([Effect::File(FileChange::Hide), Effect::Allow]);
        effects.extend(kills.then_some(Effect::Run(Occasion::Lift)));
    }
    effects.push(Effect::Metric(Count::Released(cause)));
    effects
}
