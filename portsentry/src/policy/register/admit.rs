//! What follows from a way into a block or fence.

use super::{Admission, Change, Count, Effect, FileChange, HistoryAction, Line, Occasion};

/// How a network stood before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// It was not held.
    Free,
    /// It was fenced.
    Fenced,
    /// It was blocked.
    Blocked,
}

/// Whether the `KILL_*` actions are taken against a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kills {
    /// Not as it is held now.
    Not,
    /// As it is held now, and not as it was before.
    First,
    /// They were taken before.
    Again {
        /// `KILL_RUN_CMD` tells a block from a fence.
        tells_changes: bool,
    },
}

/// What decides on the effects, beside the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How the network stood before.
    pub before: Before,
    /// It is fenced now, else blocked.
    pub is_fence: bool,
    /// Whether the `KILL_*` actions are taken against it.
    pub kills: Kills,
    /// The number of its blocks, where this one lasts longer than the first.
    pub reoffends: Option<u32>,
}

impl Entry {
    /// Whether it is held otherwise than before.
    const fn is_new(&self) -> bool {
        match self.before {
            Before::Free => true,
            Before::Fenced => !self.is_fence,
            Before::Blocked => false,
        }
    }

    const fn action(&self) -> HistoryAction {
        if self.is_fence { HistoryAction::Fenced } else { HistoryAction::Blocked }
    }

    const fn line(&self) -> Line {
        if self.is_fence { Line::Fenced } else { Line::Blocked }
    }
}

/// What is to be done about a network that is held for `cause` from now on.
#[must_use]
pub fn admit(cause: Admission, entry: &Entry) -> Vec<Effect> {
    use Effect::{Deny, Emit, File, History, Map, Metric, Run};
    let is_new = entry.is_new();
    let mut effects = Vec::new();
    match cause {
        Admission::Sighting | Admission::Trap => {
            effects.push(Emit(Line::Attack));
            // One that was found in the map before its event was read is recorded already.
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
    }
    let is_ordered = matches!(cause, Admission::Administrator | Admission::Offline);
    if let Some(times) = entry.reoffends {
        effects.splice(..0, [Map(Change::Extend), Emit(Line::Reoffended { times })]);
    }
    match cause {
        Admission::List => {}
        // What was done then still stands, but for a line that somebody has taken out of the file.
        Admission::TakenOver => effects.extend((entry.kills != Kills::Not).then_some(Deny { is_new: false })),
        _ if (is_new || is_ordered) && entry.kills == Kills::First => {
            effects.extend([Run(Occasion::Kill), Deny { is_new: true }]);
        }
        _ if is_ordered || is_new && entry.before == Before::Fenced => {
            if let Kills::Again { tells_changes } = entry.kills {
                // The line that is there is ours, but may name another port or proof.
                effects.push(Deny { is_new: false });
                effects.extend(tells_changes.then_some(Run(Occasion::Change)));
            }
        }
        _ => {}
    }
    if is_new || is_ordered {
        effects.push(Metric(Count::Admitted(cause)));
    }
    effects
}
