//! What the rules say about a capture.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write,
    net::Ipv4Addr,
};

use portsentry_common::scan::group::{BLOCK, Noted};

use super::Capture;
use crate::{
    network::Pair,
    rules::{RULES, Rules},
};

/// Sources in the table.
const MOST: usize = 100;

/// A source's record.
#[derive(Debug, Default)]
struct Source {
    failed: HashSet<Pair>,
    found: [Option<usize>; RULES.len()],
}

/// Returns a table of the sources that some rule takes for scanners, with the number of failed pairs up to that, and
/// the distributed scans.
pub fn summarize(capture: &Capture) -> String {
    let mut rules = Rules::new(1);
    let mut sources: HashMap<u64, Source> = HashMap::new();
    let mut groups = Vec::new();
    for event in &capture.events {
        let source = sources.entry(event.source).or_default();
        if event.has_failed() {
            source.failed.insert(event.pair);
        }
        let (found, group) = rules.read(event);
        for (first, finds) in source.found.iter_mut().zip(found) {
            if finds {
                first.get_or_insert(source.failed.len());
            }
        }
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
        sources.len(),
    );
    for (link, frames) in &capture.unread {
        let _ = writeln!(text, "{frames} frames not read: unknown link type {link}");
    }
    let _ = write!(
        text,
        "\n| source | failed pairs | {} |\n|{}\n",
        RULES.join(" | "),
        "---|".repeat(2 + RULES.len())
    );
    let mut found: Vec<_> = sources.iter().filter(|(_, it)| it.found.iter().any(Option::is_some)).collect();
    found.sort_by_key(|(number, it)| (std::cmp::Reverse(it.failed.len()), **number));
    for (number, source) in found.iter().take(MOST) {
        let cells: Vec<_> =
            source.found.iter().map(|it| it.map_or("-".to_owned(), |pairs| pairs.to_string())).collect();
        let name = capture.sources.get(number).map_or("", String::as_str);
        let _ = writeln!(text, "| {name} | {} | {} |", source.failed.len(), cells.join(" | "));
    }
    if found.len() > MOST {
        let _ = writeln!(text, "\n{} more sources", found.len() - MOST);
    }
    for group in groups {
        let _ = writeln!(text, "\n{group}");
    }
    text
}
