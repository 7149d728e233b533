//! The causes of blocks, fences and releases, with their reasons in words.

use super::super::{Record, Sighting};

/// The usual reason for an administrator's request.
pub const ADMINISTRATOR: &str = "an administrator asked for it";
/// Returns the reason for a request of the administrator `name`, who may have given one.
#[must_use]
pub fn asked(name: &str, given: Option<&str>) -> String {
    given.map_or_else(|| format!("{name} asked for it"), |given| format!("{name} asked for it: {given}"))
}

/// Returns the administrator's own words in `reason`, if it is one of [`asked`]: empty if there are none.
#[must_use]
pub fn asked_because(reason: &str) -> Option<&str> {
    let split = reason.split_once(" asked for it");
    let (_, rest) = split.filter(|(name, _)| !name.is_empty() && !name.contains(' '))?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix(": ") }
}

/// Reason for the release of an expired block or fence.
pub const OVER: &str = "its time is over";
/// Reason for the release of an address that is exempt.
pub const NEVER_BLOCKED: &str = "its address is never blocked";
/// Reason for the release of a network that contains an address of this host.
pub const NEAR: &str = "this host is in that network now";
/// Reason for the release of a network of another length.
pub const OTHER_PREFIX: &str = "IPV6_PREFIX has changed";

/// Cause of a block or fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Admission {
    /// The kernel program reported a probe.
    Sighting,
    /// The kernel program reported that it scans: its first contacts failed.
    Scan,
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
    /// Another gateway of the fleet blocks it.
    Peer,
}

impl Admission {
    /// All causes.
    pub const ALL: [Self; 9] = [
        Self::Sighting,
        Self::Scan,
        Self::Untold,
        Self::TakenOver,
        Self::Administrator,
        Self::Trap,
        Self::List,
        Self::Offline,
        Self::Peer,
    ];

    /// Returns the cause of a report of the kernel program.
    #[must_use]
    pub const fn of(sighting: &Sighting) -> Self {
        if sighting.scan.is_some() { Self::Scan } else { Self::Sighting }
    }

    /// Returns the name for metrics and evidence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sighting => "probe",
            Self::Scan => "scan",
            Self::Untold => "unreported",
            Self::TakenOver => "taken_over",
            Self::Administrator => "administrator",
            Self::Trap => "trap",
            Self::List => "block_list",
            Self::Offline => "offline",
            Self::Peer => "peer",
        }
    }

    /// Returns the reason for log, history and commands, unless another was given.
    #[must_use]
    pub fn reason(self, record: &Record, sighting: Option<&Sighting>) -> String {
        let (protocol, port) = (record.hold.protocol.name(), record.hold.port);
        match self {
            Self::Sighting | Self::Trap => {
                let kind = sighting.map_or("probe", Sighting::kind_name);
                format!("{kind} to {protocol} port {port}")
            }
            Self::Scan => match sighting.and_then(|sighting| sighting.scan) {
                Some(scan) => format!("{}: {scan}", scan.kind().name()),
                None => "its first contacts failed".into(),
            },
            Self::Untold => "found in the kernel's map; its probe was not reported".into(),
            Self::TakenOver => "an earlier run blocked it".into(),
            Self::Administrator => ADMINISTRATOR.into(),
            Self::List => "the block list names it".into(),
            Self::Offline => "an administrator asked for it while no daemon ran".into(),
            Self::Peer => "another gateway blocks it".into(),
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
    /// The fleet no longer blocks it, or an administrator of the fleet has lifted or exempted it.
    Fleet,
}

impl Release {
    /// All causes.
    pub const ALL: [Self; 5] = [Self::Over, Self::Administrator, Self::Exempt, Self::Crowded, Self::Fleet];

    /// Returns the cause of a release that a history line records with this reason.
    #[must_use]
    pub fn of_reason(reason: Option<&str>) -> Self {
        match reason {
            Some(OVER) => Self::Over,
            Some(NEVER_BLOCKED | NEAR | OTHER_PREFIX) => Self::Exempt,
            _ => Self::Administrator,
        }
    }

    /// Returns the name for metrics and evidence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Over => "over",
            Self::Administrator => "administrator",
            Self::Exempt => "exempt",
            Self::Crowded => "crowded",
            Self::Fleet => "fleet",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn administrators_words_are_found_again() {
        for (reason, expected) in [
            (asked("alice", None), Some("")),
            (asked("alice", Some("a guest asked for it")), Some("a guest asked for it")),
            ("a guest asked for it".into(), None),
            ("came again".into(), None),
            (" asked for it".into(), None),
        ] {
            assert_eq!(asked_because(&reason), expected, "{reason}");
        }
    }

    #[test]
    fn a_release_is_known_by_its_reason() {
        for (reason, expected) in [
            (Some(OVER), Release::Over),
            (Some(NEVER_BLOCKED), Release::Exempt),
            (Some(ADMINISTRATOR), Release::Administrator),
            (None, Release::Administrator),
        ] {
            assert_eq!(Release::of_reason(reason), expected, "{reason:?}");
        }
    }
}
