//! Makes the report from the counts of a period and of the one before.

use std::collections::BTreeMap;

use super::{
    advice,
    summary::{Held, Period, Summary, Totals, Who},
    tally::Tally,
    who::{self, Where},
};
use crate::{inspect::stream::Extent, sink::origins::Origins};

/// What a report is made of.
pub struct Material<'a> {
    /// The host's name.
    pub host: String,
    /// The period.
    pub period: Period,
    /// Its counts.
    pub now: &'a Tally,
    /// Those of the period before.
    pub before: &'a Tally,
    /// Blocks and fences in force now.
    pub held: Option<Held>,
    /// Origins of sources.
    pub origins: &'a Origins,
    /// What was read.
    pub extent: Extent,
}

/// Makes the report.
#[must_use]
pub fn summary(material: Material<'_>) -> Summary {
    let Material { host, period, now, before, held, origins, extent } = material;
    let origins = Where(origins);
    let named = |tally: &Tally| -> BTreeMap<String, u64> {
        tally.ports.iter().map(|(port, count)| (port.to_string(), *count)).collect()
    };
    let (places, places_before) = (who::places(now, &origins), who::places(before, &origins));
    let [countries, systems] = places;
    let who = Who {
        countries: who::rows(countries, &places_before[0]),
        systems: who::rows(systems, &places_before[1]),
        networks: who::networks(now, &origins),
        offenders: who::offenders(now, &origins, |_, source| source.blocked > 1),
        slow: who::offenders(now, &origins, |_, source| source.is_slow || source.is_sweep),
        returned: who::active(now).filter(|(address, _)| before.sources.contains_key(address)).count() as u64,
    };
    let mut problems = extent.problems;
    if extent.torn > 0 {
        problems.push(format!("{} lines of the history are in neither format", extent.torn));
    }
    if extent.ambiguous > 0 {
        problems.push(format!(
            "{} lines in 2.x's format are older than the evidence: their fences count as blocks",
            extent.ambiguous
        ));
    }
    if now.left_out > 0 {
        problems.push(format!("{} entries are about sources beyond the limit", now.left_out));
    }
    let mut summary = Summary {
        host,
        period,
        totals: [Totals::of(now), Totals::of(before)],
        days: now.days.iter().map(|(date, day)| (*date, *day)).collect(),
        ports: who::rows(named(now), &named(before)),
        kinds: who::rows(now.kinds.clone(), &before.kinds),
        proofs: who::rows(now.proofs.clone(), &before.proofs),
        who,
        held,
        news: Vec::new(),
        advice: Vec::new(),
        problems,
    };
    summary.news = advice::news(&summary);
    summary.advice = advice::advice(&summary, now, &origins);
    summary
}
