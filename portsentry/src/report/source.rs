//! What one source did in a period.

use jiff::Timestamp;

use crate::{
    inspect::past::Entry,
    policy::{
        ScanKind,
        register::{HistoryAction, Release},
    },
};

/// Number of distinct ports that are remembered for a source.
const PORTS: usize = 4;
/// Days in the mask of days.
pub const DAYS: i64 = 64;

/// A port and its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// The port.
    pub number: u16,
    /// Whether it is UDP's.
    pub is_udp: bool,
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, if self.is_udp { "UDP" } else { "TCP" })
    }
}

impl Port {
    /// Returns the port of a probe.
    #[must_use]
    pub fn of(entry: &Entry) -> Option<Self> {
        Some(Self { number: entry.port?, is_udp: entry.protocol.as_deref() == Some("UDP") })
    }
}

/// Counts of one source. There may be hundreds of thousands of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Number of blocks.
    pub blocked: u32,
    /// Number of fences.
    pub fenced: u32,
    /// Number of reports without an effect.
    pub reported: u32,
    /// Number of releases by an administrator.
    pub lifted: u32,
    /// Seconds since 1970 of its first and last probe.
    pub first: i64,
    /// See `first`.
    pub last: i64,
    /// Whether a slow scan was found.
    pub is_slow: bool,
    /// Whether a sweep over many addresses was found.
    pub is_sweep: bool,
    ports: [Option<Port>; PORTS],
    has_more: bool,
    days: u64,
}

impl Source {
    /// Adds an entry about the source.
    pub fn add(&mut self, entry: &Entry, time: Timestamp) {
        let count = match entry.action {
            HistoryAction::Blocked => &mut self.blocked,
            HistoryAction::Fenced => &mut self.fenced,
            HistoryAction::Reported => &mut self.reported,
            HistoryAction::Lifted => {
                let is_asked = Release::of_reason(entry.reason.as_deref()) == Release::Administrator;
                self.lifted = self.lifted.saturating_add(is_asked.into());
                return;
            }
            HistoryAction::Forgotten => return,
        };
        *count = count.saturating_add(1);
        let second = time.as_second();
        let is_first = self.days == 0;
        self.first = if is_first { second } else { self.first.min(second) };
        self.last = if is_first { second } else { self.last.max(second) };
        self.days |= 1 << second.div_euclid(86400).rem_euclid(DAYS);
        self.is_slow |= entry.kind.as_deref() == Some(ScanKind::Slow.name());
        self.is_sweep |= entry.kind.as_deref() == Some(ScanKind::Sweep.name());
        let Some(port) = Port::of(entry) else { return };
        match self.ports.iter_mut().find(|it| it.is_none() || **it == Some(port)) {
            Some(free) => *free = Some(port),
            None => self.has_more = true,
        }
    }

    /// Returns the number of blocks, fences and reports.
    #[must_use]
    pub const fn actions(&self) -> u64 {
        self.blocked as u64 + self.fenced as u64 + self.reported as u64
    }

    /// Returns the number of distinct days (of UTC), at most [`DAYS`].
    #[must_use]
    pub const fn days(&self) -> u32 {
        self.days.count_ones()
    }

    /// Returns the remembered ports, and whether there are more.
    pub fn ports(&self) -> (impl Iterator<Item = Port>, bool) {
        (self.ports.into_iter().flatten(), self.has_more)
    }

    /// Returns its ports in words.
    #[must_use]
    pub fn ports_shown(&self) -> String {
        let (ports, has_more) = self.ports();
        let mut ports: Vec<Port> = ports.collect();
        ports.sort_unstable();
        let names: Vec<String> = ports.iter().map(ToString::to_string).collect();
        let more = if has_more { " and others" } else { "" };
        if names.is_empty() { "-".into() } else { names.join(", ") + more }
    }
}
