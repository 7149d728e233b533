//! Effects of admitting a network to a block or fence.

use portsentry_common::judge::SourceState;

use super::{Admission, Change, Count, Effect, FileChange, HistoryAction, Line, Occasion, Shared};

/// Whether the `KILL_*` actions run for a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kills {
    /// They do not run in its current state.
    Not,
    /// They run in its current state, and did not run in the previous one.
    First,
    /// They have already run.
    Again {
        /// Whether `KILL_RUN_CMD` distinguishes a block from a fence.
        tells_changes: bool,
    },
}

/// Inputs of the decision, besides the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// State of the network before.
    pub before: SourceState,
    /// Whether it is now fenced rather than blocked.
    pub is_fence: bool,
    /// Whether the `KILL_*` actions run for it.
    pub kills: Kills,
    /// The number of its blocks, if this one is longer than the first.
    pub reoffends: Option<u32>,
}

impl Entry {
    /// Whether its state has changed.
    const fn is_new(&self) -> bool {
        match self.before {
            SourceState::Free => true,
            SourceState::Fenced => !self.is_fence,
            SourceState::Blocked => false,
        }
    }

    const fn action(&self) -> HistoryAction {
        if self.is_fence { HistoryAction::Fenced } else { HistoryAction::Blocked }
    }

    const fn line(&self) -> Line {
        if self.is_fence { Line::Fenced } else { Line::Blocked }
    }
}

/// Returns the effects of a block or fence for `cause`.
#[must_use]
pub fn admit(cause: Admission, entry: &Entry) -> Vec<Effect> {
    use Effect::{Deny, Emit, File, History, Map, Metric, Run, Share};
    let is_new = entry.is_new();
    let mut effects = Vec::new();
    match cause {
        Admission::Sighting | Admission::Scan | Admission::Trap => {
            effects.push(Emit(Line::Attack));
            // An entry that was found in the map before its event was read is already recorded.
            if is_new {
                effects.extend([Emit(entry.line()), History(entry.action()), File(FileChange::Show)]);
            }
        }
        Admission::Untold if is_new => {
            effects.extend([Emit(Line::Found), History(entry.action()), File(FileChange::Show)]);
        }
        Admission::TakenOver if is_new => effects.extend([Map(Change::Enter), File(FileChange::Show)]),
        Admission::Untold | Admission::TakenOver => {}
        Admission::Administrator | Admission::Offline => {
            let entered = [Map(Change::Enter), Emit(Line::Ordered), History(entry.action())];
            effects.extend(entered.into_iter().chain([File(FileChange::Show)]));
        }
        Admission::List => effects.push(Map(Change::Enter)),
        Admission::Peer => effects.extend([Map(Change::Enter), Emit(Line::OfPeer)]),
    }
    let is_ordered = matches!(cause, Admission::Administrator | Admission::Offline);
    if let Some(times) = entry.reoffends {
        effects.splice(..0, [Map(Change::Extend), Emit(Line::Reoffended { times })]);
    }
    match cause {
        Admission::List | Admission::Peer => {}
        // The earlier effects still apply, except for a line that was removed from the file.
        Admission::TakenOver => effects.extend((entry.kills != Kills::Not).then_some(Deny { is_new: false })),
        _ if (is_new || is_ordered) && entry.kills == Kills::First => {
            effects.extend([Run(Occasion::Kill), Deny { is_new: true }]);
        }
        _ if is_ordered || is_new && entry.before == SourceState::Fenced => {
            if let Kills::Again { tells_changes } = entry.kills {
                // The existing line is PortSentry's, but may have another port or proof.
                effects.push(Deny { is_new: false });
                effects.extend(tells_changes.then_some(Run(Occasion::Change)));
            }
        }
        _ => {}
    }
    if is_new || is_ordered {
        effects.push(Metric(Count::Admitted(cause)));
        let is_own = !matches!(cause, Admission::List | Admission::Peer | Admission::TakenOver);
        effects.extend((is_own && !entry.is_fence).then_some(Share(Shared::Block)));
    }
    effects
}
