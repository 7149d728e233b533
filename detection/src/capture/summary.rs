//! What the rules say about a capture.

use std::{cmp::Reverse, fmt::Write, net::Ipv4Addr};

use portsentry_common::scan::group::{BLOCK, Noted};

use super::Capture;
use crate::{
    figures::Table,
    rules::{RULES, Rules},
    tally::Tally,
};

/// Sources in the table.
const MOST: usize = 100;

/// Returns a table of the sources that some rule takes for scanners, with the number of failed pairs up to that, and
/// the distributed scans.
pub fn summarize(capture: &Capture) -> String {
    let mut rules = Rules::new(1);
    let mut tally = Tally::default();
    let mut groups = Vec::new();
    for event in &capture.events {
        let (found, group) = rules.read(event);
        tally.add(event, found);
        if group == Noted::Found {
            let block = Ipv4Addr::from_bits(event.pair.0 / BLOCK * BLOCK);
            groups
                .push(format!("distributed scan of {block}/23, port {}, after {} s", event.pair.1, event.at));
        }
    }
    let served = capture.events.iter().filter(|event| !event.has_failed()).count();
    let mut text = format!(
        "{} frames, {} connections tried by {} sources, {served} accepted\n",
        capture.frames,
        capture.events.len(),
        tally.sources.len(),
    );
    for (link, frames) in &capture.unread {
        let _ = writeln!(text, "{frames} frames not read: unknown link type {link}");
    }
    let mut found: Vec<_> =
        tally.sources.iter().filter(|(_, it)| it.found.iter().any(Option::is_some)).collect();
    found.sort_by_key(|(number, it)| (Reverse(it.failed()), **number));
    let mut table = Table::new(["source", "failed pairs"].into_iter().chain(RULES));
    for (number, source) in found.iter().take(MOST) {
        let cells = source.found.iter().map(|it| it.map_or("-".to_owned(), |pairs| pairs.to_string()));
        let name = capture.sources.get(number).cloned().unwrap_or_default();
        table.rows.push([name, source.failed().to_string()].into_iter().chain(cells).collect());
    }
    text = text + "\n" + &table.markdown();
    if found.len() > MOST {
        let _ = writeln!(text, "\n{} more sources", found.len() - MOST);
    }
    for group in groups {
        let _ = writeln!(text, "\n{group}");
    }
    text
}
