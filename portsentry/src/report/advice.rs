//! What changed since the period before, and what deserves a decision.

use super::{
    escape::grouped,
    summary::{Advice, Summary},
    tally::Tally,
    who::{self, Row, Where},
};
use crate::policy::{name_of, peers::is_private};

/// Minimum number of sources of a network for the proposal to block it.
const CROWD: u64 = 16;
/// Minimum number of blocks for the proposal to block a source permanently.
const OFTEN: u32 = 5;
/// Minimum number of days on which monitoring probes the same ports.
const REGULAR: u32 = 3;
/// Minimum count for a port or country to be news.
const NEWS: u64 = 10;
/// Number of proposals of each kind, and of news.
const MOST: usize = 3;

/// Returns what changed.
#[must_use]
pub fn news(summary: &Summary) -> Vec<String> {
    let [now, before] = &summary.totals;
    if !summary.period.is_comparable() {
        return vec!["The history doesn't cover the period before, so there is no comparison.".into()];
    }
    let mut news = Vec::new();
    for (what, new, old) in [
        ("Sources", now.sources, before.sources),
        ("Blocks", now.blocked, before.blocked),
        ("Fences", now.fenced, before.fenced),
        ("Reports without effect", now.reported, before.reported),
    ] {
        if new != old {
            news.push(format!("{what}: {} after {}{}.", grouped(new), grouped(old), percent(new, old)));
        }
    }
    for (what, rows) in [("Port", &summary.ports), ("Country", &summary.who.countries)] {
        let is_new = |row: &&Row| row.count >= NEWS && row.name != "unknown" && row.count >= 3 * row.before;
        for row in rows.iter().filter(is_new).take(MOST) {
            let (count, before) = (grouped(row.count), grouped(row.before));
            news.push(if row.before == 0 {
                format!("{what} {} is new: {count}.", row.name)
            } else {
                format!("{what} {}: {count} after {before}.", row.name)
            });
        }
    }
    if summary.who.returned > 0 {
        news.push(format!("{} sources of the period before came back.", grouped(summary.who.returned)));
    }
    if news.is_empty() {
        news.push("Nothing.".into());
    }
    news
}

/// Returns the change in percent, if it says more than the numbers.
fn percent(new: u64, old: u64) -> String {
    if old < NEWS {
        return String::new();
    }
    let (new, old) = (i128::from(new), i128::from(old));
    format!(" ({:+} %)", (new - old) * 100 / old)
}

/// Returns the proposals, the most urgent first: honest sources that may be blocked.
#[must_use]
pub fn advice(summary: &Summary, tally: &Tally, origins: &Where<'_>) -> Vec<Advice> {
    let mut advice = Vec::new();
    let mut say = |finding: String, command: String| advice.push(Advice { finding, command });
    let (private, _) = who::offenders(tally, origins, |address, _| is_private(address.addr()));
    for source in private.iter().take(MOST) {
        let name = name_of(source.address);
        say(
            format!(
                "{name} is a private address, probably one of your hosts (ports {}). If you know it, add it to the ignore file.",
                source.ports
            ),
            format!("portsentry why {}", source.address.addr()),
        );
    }
    let (lifted, _) = who::offenders(tally, origins, |_, source| source.lifted > 0);
    for source in lifted.iter().take(MOST) {
        let name = name_of(source.address);
        say(
            format!(
                "An administrator released {name} {} times, and it was blocked or fenced {} times. If it is honest, add it to the ignore file.",
                source.lifted,
                source.blocked + source.fenced
            ),
            format!("portsentry why {}", source.address.addr()),
        );
    }
    let days =
        summary.period.to.0.duration_since(summary.period.from.0).unwrap_or_default().as_secs() / 86_400;
    // No source has been seen on more days.
    let days = days.min(super::source::DAYS.unsigned_abs());
    let regular = REGULAR.max(u32::try_from(days / 4).unwrap_or(u32::MAX));
    let (found, count) = who::offenders(tally, origins, |address, source| {
        let (ports, has_more) = source.ports();
        source.days() >= regular
            && source.blocked == 0
            && !has_more
            && ports.count() <= 2
            && !is_private(address.addr())
    });
    if let Some(source) = found.first() {
        let name = name_of(source.address);
        say(
            format!(
                "{count} sources probed the same one or two ports on {regular} days or more, as monitoring does: {name} first (ports {}).",
                source.ports
            ),
            "portsentry review".into(),
        );
    }
    for network in summary.who.networks.0.iter().filter(|network| network.sources >= CROWD).take(MOST) {
        let (name, origin) = (name_of(network.network), network.origin.as_ref());
        let origin = origin.map_or_else(String::new, |origin| format!(" ({origin})"));
        say(
            format!(
                "{} sources of {name}{origin} probed {} ports. Block the network for a while?",
                grouped(network.sources),
                network.ports
            ),
            format!("portsentry block {name} --for 7days"),
        );
    }
    let often = summary.who.offenders.0.iter().filter(|source| source.blocked >= OFTEN && source.lifted == 0);
    for source in often.filter(|source| !is_private(source.address.addr())).take(MOST) {
        let name = name_of(source.address);
        say(
            format!(
                "{name} was blocked {} times on {} days. Block it permanently, or raise BLOCK_TIME_FACTOR?",
                source.blocked, source.days
            ),
            format!("portsentry block {name}"),
        );
    }
    let [now, _] = &summary.totals;
    if now.reported > 0 && now.blocked + now.fenced == 0 {
        say(
            "PortSentry only observes: nothing was blocked or fenced.".into(),
            "portsentry list --would".into(),
        );
    }
    advice
}
