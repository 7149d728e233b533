//! The causes of blocks, fences and releases, with their reasons in words.

use super::super::{Record, Sighting, sighting::kind_name};

/// The usual reason for an administrator's request.
pub const ADMINISTRATOR: &str = "an administrator asked for it";

/// Cause of a block or fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Admission {
    /// The kernel program reported a probe.
    Sighting,
    /// The kernel program blocked or fenced it, and could not report the probe.
    Untold,
    /// An earlier run had blocked or fenced it.
    TakenOver,
    /// An administrator requested it, or added it to the blocked file.
    Administrator,
    /// It visited a trap of the daemon.
    Trap,
    /// The block list contains it.
    List,
    /// A command blocked it while no daemon ran.
    Offline,
}

impl Admission {
    /// All causes.
    pub const ALL: [Self; 7] = [
        Self::Sighting,
        Self::Untold,
        Self::TakenOver,
        Self::Administrator,
        Self::Trap,
        Self::List,
        Self::Offline,
    ];

    /// Returns the name for metrics and evidence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sighting => "probe",
            Self::Untold => "unreported",
            Self::TakenOver => "taken_over",
            Self::Administrator => "administrator",
            Self::Trap => "trap",
            Self::List => "block_list",
            Self::Offline => "offline",
        }
    }

    /// Returns the reason for log, history and commands, unless another was given.
    #[must_use]
    pub fn reason(self, record: &Record, sighting: Option<&Sighting>) -> String {
        let (protocol, port) = (record.hold.protocol.name(), record.hold.port);
        match self {
            Self::Sighting | Self::Trap => {
                let kind = sighting.map_or("probe", |sighting| kind_name(sighting.kind));
                format!("{kind} to {protocol} port {port}")
            }
            Self::Untold => "found in the kernel's map; its probe was not reported".into(),
            Self::TakenOver => "an earlier run blocked it".into(),
            Self::Administrator => ADMINISTRATOR.into(),
            Self::List => "the block list names it".into(),
            Self::Offline => "an administrator asked for it while no daemon ran".into(),
        }
    }
}

/// Cause of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Release {
    /// It has expired.
    Over,
    /// An administrator requested it, or removed its line from a file.
    Administrator,
    /// It is never blocked, or no longer as a network.
    Exempt,
    /// `MAX_FENCED` was exceeded.
    Crowded,
}

impl Release {
    /// All causes.
    pub const ALL: [Self; 4] = [Self::Over, Self::Administrator, Self::Exempt, Self::Crowded];

    /// Returns the name for metrics and evidence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Over => "over",
            Self::Administrator => "administrator",
            Self::Exempt => "exempt",
            Self::Crowded => "crowded",
        }
    }
}
