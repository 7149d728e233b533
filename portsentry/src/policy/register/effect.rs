//! What follows from a network's being held or let go.

use super::{Admission, Release};

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Change the kernel's maps.
    Map(Change),
    /// Write a line of the history, and a line of evidence beside it.
    History(HistoryAction),
    /// Change the blocked file.
    File(FileChange),
    /// Have `hosts.deny` name the network; for the first time, if so.
    Deny {
        /// A line that is there already is somebody else's.
        is_new: bool,
    },
    /// Have `hosts.deny` no longer name the network.
    Allow,
    /// Run commands.
    Run(Occasion),
    /// Write to the log, and to whatever else takes events.
    Emit(Line),
    /// Count.
    Metric(Count),
}

impl Effect {
    /// Whether it is words on a source, which wait for the source's name.
    #[must_use]
    pub const fn names_source(self) -> bool {
        matches!(self, Self::History(_) | Self::Emit(_))
    }
}

/// What changes in the kernel's maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The network is entered, or its entry gets these terms.
    Enter,
    /// The entry that is there ends later.
    Extend,
    /// The network is removed.
    Remove,
    /// Its handshakes with traps are forgotten.
    Forget,
}

/// What changes in the blocked file.
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

/// On which occasion commands are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The network is held: all of them, in PortSentry's order.
    Kill,
    /// A fence has become a block: `KILL_RUN_CMD` alone, once more.
    Change,
    /// The configuration asks for `KILL_RUN_CMD` and nothing else.
    Command,
    /// The network is let go.
    Lift,
}

/// What the log is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// A probe, as an attack.
    Attack,
    /// A probe, in a form that gets nobody banned: its source is ignored, below the trigger, or the probe is
    /// of a kind that isn't counted.
    Notice,
    /// The configuration says not to act.
    LeftAlone,
    /// The blocked map is full.
    Full,
    /// The source is fenced.
    Fenced,
    /// The source is blocked.
    Blocked,
    /// Its block lasts longer than the last one.
    Reoffended {
        /// How many blocks there were of it, this one included.
        times: u32,
    },
    /// It was found blocked or fenced.
    Found,
    /// An administrator blocks it.
    Ordered,
    /// It is let go.
    Lifted,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// A network is held.
    Admitted(Admission),
    /// A network is let go.
    Released(Release),
}
