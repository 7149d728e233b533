//! The content of the report.

use serde::Serialize;

use super::{
    tally::{Day, Tally},
    who::{self, Network, Offender, ROWS, Row},
};
use crate::{
    inspect::held::Listed,
    instant::Time,
    policy::{State, register::HistoryAction},
};

/// The report.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The host's name.
    pub host: String,
    /// The period.
    pub period: Period,
    /// Counts, and those of the period before.
    pub totals: [Totals; 2],
    /// By day and hour.
    #[serde(skip)]
    pub days: Vec<(jiff::civil::Date, Day)>,
    /// By port.
    pub ports: Vec<Row>,
    /// By kind of probe.
    pub kinds: Vec<Row>,
    /// Blocks by proof.
    pub proofs: Vec<Row>,
    /// Who probed.
    pub who: Who,
    /// Blocks and fences in force now, if they can be read.
    pub held: Option<Held>,
    /// What changed since the period before.
    pub news: Vec<String>,
    /// What deserves a decision.
    pub advice: Vec<Advice>,
    /// Reasons why details are missing.
    pub problems: Vec<String>,
}

/// The period.
#[derive(Clone, Debug, Serialize)]
pub struct Period {
    /// Its start.
    pub from: Time,
    /// Its end.
    pub to: Time,
    /// Start of the period before, which is as long.
    pub before: Time,
    /// The first entry of the history, if there is one.
    pub oldest: Option<Time>,
    /// Name of the time zone.
    pub zone: String,
}

impl Period {
    /// Whether the history covers the period before, except for a tenth at its start, which may have been quiet.
    #[must_use]
    pub fn is_comparable(&self) -> bool {
        let length = self.from.0.duration_since(self.before.0).unwrap_or_default();
        self.oldest.is_some_and(|oldest| oldest.0 <= self.before.0 + length / 10)
    }
}

/// Counts of a period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Number of blocks.
    pub blocked: u64,
    /// Number of fences.
    pub fenced: u64,
    /// Number of reports without an effect.
    pub reported: u64,
    /// Number of releases.
    pub lifted: u64,
    /// Number of distinct sources, at least.
    pub sources: u64,
    /// Number of fenced sources that were blocked, too.
    pub proven: u64,
    /// Number of fenced sources.
    pub fenced_sources: u64,
}

/// A proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// The finding.
    pub finding: String,
    /// The command that looks closer, or acts.
    pub command: String,
}

/// Who probed.
#[derive(Clone, Debug, Serialize)]
pub struct Who {
    /// Sources by country; empty without `GEOIP_COUNTRY`.
    pub countries: Vec<Row>,
    /// Sources by autonomous system; empty without `GEOIP_ASN`.
    pub systems: Vec<Row>,
    /// Networks with several sources.
    pub networks: (Vec<Network>, u64),
    /// Sources with several blocks.
    pub offenders: (Vec<Offender>, u64),
    /// Sources of slow scans and sweeps, which avoid traps.
    pub slow: (Vec<Offender>, u64),
    /// Number of sources of the period before that came back.
    pub returned: u64,
}

/// Blocks and fences in force now.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Held {
    /// Number of blocked sources and networks.
    pub blocked: usize,
    /// Number of fenced sources.
    pub fenced: usize,
    /// Packets that they lost.
    pub dropped: u64,
    /// The sources with the most of them.
    pub top: Vec<(String, u64)>,
}

impl From<Vec<Listed>> for Held {
    fn from(mut sources: Vec<Listed>) -> Self {
        sources.sort_by_key(|source| (std::cmp::Reverse(source.dropped), source.address));
        let of = |state| sources.iter().filter(|source| source.state == state).count();
        let top = sources.iter().filter(|source| source.dropped > 0).take(ROWS);
        Self {
            blocked: of(State::Blocked),
            fenced: of(State::Fenced),
            dropped: sources.iter().map(|source| source.dropped).sum(),
            top: top.map(|source| (crate::policy::name_of(source.address), source.dropped)).collect(),
        }
    }
}

impl Totals {
    /// Returns the counts of a tally.
    #[must_use]
    pub fn of(tally: &Tally) -> Self {
        let (mut sources, mut fenced_sources, mut proven) = (0, 0, 0);
        for (_, source) in who::active(tally) {
            sources += 1;
            fenced_sources += u64::from(source.fenced > 0);
            proven += u64::from(source.fenced > 0 && source.blocked > 0);
        }
        Self {
            blocked: tally.count(HistoryAction::Blocked),
            fenced: tally.count(HistoryAction::Fenced),
            reported: tally.count(HistoryAction::Reported),
            lifted: tally.count(HistoryAction::Lifted),
            sources,
            proven,
            fenced_sources,
        }
    }

    /// Returns the number of blocks, fences and reports.
    #[must_use]
    pub const fn actions(&self) -> u64 {
        self.blocked + self.fenced + self.reported
    }
}
