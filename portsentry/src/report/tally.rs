//! Counts of a period, entry by entry, in bounded memory.

use std::{
    collections::{BTreeMap, HashMap},
    time::SystemTime,
};

use ipnet::IpNet;
use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::source::{Port, Source};
use crate::{inspect::past::Entry, policy::register::HistoryAction};

/// Maximum number of sources that are told apart.
const SOURCES: usize = 1 << 19;
/// Maximum number of kinds, which are texts from a file.
const KINDS: usize = 64;
/// The name of missing kinds and proofs.
pub const MISSING: &str = "not recorded";
/// Number of hours of a day.
pub const HOURS: usize = 24;

/// Blocks, fences and reports of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Day {
    /// All three, by hour.
    pub hours: [u32; HOURS],
    /// Number of blocks.
    pub blocked: u32,
    /// Number of fences.
    pub fenced: u32,
    /// Number of reports.
    pub reported: u32,
}

/// The counts.
#[derive(Clone, Debug)]
pub struct Tally {
    zone: TimeZone,
    from: SystemTime,
    to: SystemTime,
    /// By day of the time zone.
    pub days: BTreeMap<Date, Day>,
    /// Numbers of entries.
    pub actions: BTreeMap<HistoryAction, u64>,
    /// By port: blocks, fences and reports.
    pub ports: HashMap<Port, u64>,
    /// The same by kind.
    pub kinds: BTreeMap<String, u64>,
    /// Blocks by proof.
    pub proofs: BTreeMap<String, u64>,
    /// By source.
    pub sources: HashMap<IpNet, Source>,
    /// Number of entries about further sources.
    pub left_out: u64,
}

impl Tally {
    /// Creates an empty tally of the entries from `from` up to, but not including, `to`.
    #[must_use]
    pub fn new(from: SystemTime, to: SystemTime, zone: TimeZone) -> Self {
        Self {
            zone,
            from,
            to,
            days: BTreeMap::new(),
            actions: BTreeMap::new(),
            ports: HashMap::new(),
            kinds: BTreeMap::new(),
            proofs: BTreeMap::new(),
            sources: HashMap::new(),
            left_out: 0,
        }
    }

    /// Adds an entry, if it belongs to the period.
    pub fn add(&mut self, entry: &Entry) {
        if entry.time.0 < self.from || entry.time.0 >= self.to {
            return;
        }
        let Ok(time) = Timestamp::try_from(entry.time.0) else { return };
        *self.actions.entry(entry.action).or_default() += 1;
        self.add_source(entry, time);
        let at = time.to_zoned(self.zone.clone());
        let day = self.days.entry(at.date()).or_default();
        let count = match entry.action {
            HistoryAction::Blocked => &mut day.blocked,
            HistoryAction::Fenced => &mut day.fenced,
            HistoryAction::Reported => &mut day.reported,
            HistoryAction::Lifted | HistoryAction::Forgotten => return,
        };
        *count = count.saturating_add(1);
        if let Some(hour) = day.hours.get_mut(usize::try_from(at.hour()).unwrap_or_default()) {
            *hour = hour.saturating_add(1);
        }
        if let Some(port) = Port::of(entry) {
            *self.ports.entry(port).or_default() += 1;
        }
        let kind = entry.kind.as_deref().filter(|kind| !kind.is_empty()).unwrap_or(MISSING);
        let kind = if self.kinds.len() < KINDS || self.kinds.contains_key(kind) { kind } else { "others" };
        *self.kinds.entry(kind.to_owned()).or_default() += 1;
        if entry.action == HistoryAction::Blocked {
            let proof = entry.proof.as_deref().unwrap_or(MISSING);
            *self.proofs.entry(proof.to_owned()).or_default() += 1;
        }
    }

    fn add_source(&mut self, entry: &Entry, time: Timestamp) {
        let has_room = self.sources.len() < SOURCES;
        match self.sources.get_mut(&entry.address) {
            Some(source) => source.add(entry, time),
            None if has_room => self.sources.entry(entry.address).or_default().add(entry, time),
            None => self.left_out += 1,
        }
    }

    /// Returns the number of entries of this kind.
    #[must_use]
    pub fn count(&self, action: HistoryAction) -> u64 {
        self.actions.get(&action).copied().unwrap_or_default()
    }
}
