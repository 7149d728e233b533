//! Effects of holding or releasing a network.

use super::{Admission, Release};

/// A single effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Change the kernel's maps.
    Map(Change),
    /// Write a line of the history, and a line of evidence beside it.
    History(HistoryAction),
    /// Change the blocked file.
    File(FileChange),
    /// Add the network to `hosts.deny`.
    Deny {
        /// Whether an existing line is not ours.
        is_new: bool,
    },
    /// Remove the network from `hosts.deny`.
    Allow,
    /// Run commands.
    Run(Occasion),
    /// Write to the log, and to other receivers of events.
    Emit(Line),
    /// Count.
    Metric(Count),
}

impl Effect {
    /// Whether it mentions a source, and so waits for the source's name.
    #[must_use]
    pub const fn names_source(self) -> bool {
        matches!(self, Self::History(_) | Self::Emit(_))
    }
}

/// A change of the kernel's maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The network is entered, or its entry gets a new end.
    Enter,
    /// The existing entry ends later.
    Extend,
    /// The network is removed.
    Remove,
    /// Its handshakes with traps are forgotten.
    Forget,
}

/// A change of the blocked file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileChange {
    /// It shows the network.
    Show,
    /// It no longer does.
    Hide,
}

/// What was done to a source, as a line of the history says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum HistoryAction {
    // 2.x's lines say so of fences, too.
    /// The source was blocked: all its packets were dropped
    Blocked,
    /// The source was fenced: its new connections were dropped
    Fenced,
    /// The source was only reported, as configured
    Reported,
    /// An administrator unblocked it
    Lifted,
}

impl HistoryAction {
    /// As people read it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Fenced => "fenced",
            Self::Reported => "reported",
            Self::Lifted => "lifted",
        }
    }
}

/// The occasion for running commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The network is held: all of them, in PortSentry's order.
    Kill,
    /// A fence has become a block: `KILL_RUN_CMD` alone, once more.
    Change,
    /// The configuration asks only for `KILL_RUN_CMD`.
    Command,
    /// The network is released.
    Lift,
}

/// A log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// A probe, as an attack.
    Attack,
    /// A probe, in a form that no log watcher bans for: its source is ignored or below the trigger, or its kind isn't
    /// counted.
    Notice,
    /// The configuration only reports the source.
    LeftAlone,
    /// The blocked map is full.
    Full,
    /// The source is fenced.
    Fenced,
    /// The source is blocked.
    Blocked,
    /// Its block lasts longer than the last one.
    Reoffended {
        /// The number of its blocks, including this one.
        times: u32,
    },
    /// It was found blocked or fenced.
    Found,
    /// An administrator blocks it.
    Ordered,
    /// It is released.
    Lifted,
}

/// A count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// A network is held.
    Admitted(Admission),
    /// A network is released.
    Released(Release),
}
