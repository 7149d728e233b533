//! Effects of blocking, fencing or releasing a network.

use super::{Admission, Release};

/// A single effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Change the kernel's maps.
    Map(Change),
    /// Write a line of the history, and one of evidence.
    History(HistoryAction),
    /// Change the blocked file.
    File(FileChange),
    /// Add the network to `hosts.deny`.
    Deny {
        /// Whether an existing line is not PortSentry's.
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
    /// Tell the fleet.
    Share(Shared),
}

impl Effect {
    /// Whether it mentions a source, and therefore waits for the source's name.
    #[must_use]
    pub const fn names_source(self) -> bool {
        matches!(self, Self::History(_) | Self::Emit(_))
    }
}

/// News for the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    /// The network is blocked.
    Block,
    /// An administrator has lifted its block.
    Lift,
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
    /// Its handshakes with traps are cleared.
    Forget,
    /// Its failed first contacts are cleared.
    Acquit,
}

/// A change of the blocked file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileChange {
    /// It shows the network.
    Show,
    /// It no longer shows the network.
    Hide,
}

/// An action on a source, as recorded in the history.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum HistoryAction {
    // 2.x's lines use this word for fences, too.
    /// The source was blocked: all its packets were dropped
    Blocked,
    /// The source was fenced: its new connections were dropped
    Fenced,
    /// The source was only reported, as configured
    Reported,
    /// Its block expired, or it was released before: by an administrator, or because it is never blocked
    Lifted,
    /// An administrator had learned ports of hosts behind this one forgotten
    Forgotten,
}

impl HistoryAction {
    /// Returns the word for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Fenced => "fenced",
            Self::Reported => "reported",
            Self::Lifted => "lifted",
            Self::Forgotten => "forgotten",
        }
    }
}

/// The occasion for running commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The network is blocked or fenced: all commands run, in PortSentry's order.
    Kill,
    /// A fence has become a block: only `KILL_RUN_CMD` runs, once more.
    Change,
    /// The configuration requests only `KILL_RUN_CMD`.
    Command,
    /// The network is released.
    Lift,
}

/// A log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// A probe, reported as an attack.
    Attack,
    /// A probe, in a form that makes no log watcher ban its source: the source is ignored or below the trigger, or
    /// the kind isn't counted.
    Notice,
    /// A scan that avoids traps, whose source is only reported.
    Scan,
    /// The source is only reported, as configured.
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
    /// It was found blocked or fenced in the map.
    Found,
    /// An administrator blocks it.
    Ordered,
    /// Another gateway blocks it.
    OfPeer,
    /// It is released.
    Lifted,
}

/// A count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// A network is blocked or fenced.
    Admitted(Admission),
    /// A network is released.
    Released(Release),
    /// A scan that avoids traps is reported, without a fence.
    Scan,
}
