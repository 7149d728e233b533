//! The outcome of a packet, from the facts of its judgement.

use portsentry_common::{
    counter::Counter,
    decide::Verdict,
    environment::{Connection, Entry},
    judge::Action,
};
use serde::Serialize;

use crate::{
    kernel::{Fact, Judgement},
    policy::State,
};

/// The outcome of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// The interface isn't watched.
    Unwatched,
    /// It is no probe, and passes.
    Passes,
    /// It reaches a service or connection of this host.
    Served,
    /// It is a probe of an exempt source, and passes.
    Ignored,
    /// It is a probe below the trigger, and passes.
    Counted,
    /// It reaches the trigger, but the configuration only reports that, and it passes.
    Reported,
    /// It is a probe of a kind that never counts, and passes.
    Noticed,
    /// The daemon accepts it at a trap.
    Trapped,
    /// Its source becomes fenced, and it is dropped or answered with a cookie.
    Fences,
    /// Its source becomes blocked, and it is dropped.
    Blocks,
    /// It reaches the trigger and is dropped, but its source can't be entered.
    NotEntered,
    /// Its source is fenced, and it is dropped or answered with a cookie.
    Fenced,
    /// Its source is fenced, and it passes.
    FencedPasses,
    /// Its source is blocked, and it is dropped.
    Blocked,
}

impl Outcome {
    /// Returns the outcome of a judgement.
    pub(super) fn of(judgement: &Judgement) -> Self {
        let facts = &judgement.facts;
        let has = |fact: &Fact| facts.contains(fact);
        let held = facts.iter().find_map(|fact| match fact {
            Fact::Held(state, ..) => Some(*state),
            _ => None,
        });
        let entered = facts.iter().find_map(|fact| match fact {
            Fact::Entered(state, _, _, Entry::Entered | Entry::Already) => Some(*state),
            _ => None,
        });
        let verdict = facts.iter().find_map(|fact| match fact {
            Fact::Reported(event) => Verdict::try_from(event.verdict).ok(),
            _ => None,
        });
        match (held, judgement.action) {
            (Some(State::Blocked), _) => Self::Blocked,
            (Some(State::Fenced), Action::Pass) => Self::FencedPasses,
            (Some(State::Fenced), _) => Self::Fenced,
            (None, Action::Drop | Action::Answer) => match entered {
                Some(State::Blocked) => Self::Blocks,
                Some(State::Fenced) => Self::Fences,
                None => Self::NotEntered,
            },
            (None, Action::Pass) if has(&Fact::Steered) => Self::Trapped,
            (None, Action::Pass) if has(&Fact::Counted(Counter::Served)) => Self::Served,
            (None, Action::Pass) if has(&Fact::Connection(Connection::Established)) => Self::Served,
            (None, Action::Pass) => match verdict {
                Some(Verdict::Ignored) => Self::Ignored,
                Some(Verdict::Counted) => Self::Counted,
                Some(Verdict::Noticed) => Self::Noticed,
                Some(_) => Self::Reported,
                None => Self::Passes,
            },
        }
    }

    /// Returns the outcome in words.
    pub(super) const fn words(self, action: Action) -> &'static str {
        match (self, action) {
            (Self::Unwatched, _) => "passes: the interface isn't watched",
            (Self::Passes, _) => "passes: it is no probe",
            (Self::Served, _) => "passes: it is for a service or connection of this host",
            (Self::Ignored, _) => "passes: its source is exempt; the probe is reported",
            (Self::Counted, _) => "passes: the probe is counted and reported",
            (Self::Reported, _) => {
                "passes: the probe is reported; the configuration doesn't block its source"
            }
            (Self::Noticed, _) => "passes: the probe is reported, but probes of this kind never count",
            (Self::Trapped, _) => "passes: the daemon accepts it at a trap",
            (Self::Fences, Action::Answer) => "answered with a cookie, and its source is fenced",
            (Self::Fences, _) => "dropped, and its source is fenced",
            (Self::Blocks, _) => "dropped, and its source is blocked",
            (Self::NotEntered, Action::Answer) => "answered with a cookie, but its source is not fenced",
            (Self::NotEntered, _) => "dropped, but its source is neither fenced nor blocked",
            (Self::Fenced, Action::Answer) => "answered with a cookie: its source is fenced",
            (Self::Fenced, _) => "dropped: its source is fenced",
            (Self::FencedPasses, _) => "passes, although its source is fenced",
            (Self::Blocked, _) => "dropped: its source is blocked",
        }
    }
}
