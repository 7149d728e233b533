//! Distributed scans at one port, beside unrelated sources that scan it, too.

use std::collections::HashSet;

use fastrand::Rng;
use portsentry_common::scan::group::Noted;

use crate::{
    event::Event,
    network::{ADDRESSES, RANGE},
    rules::{Ours, SETS},
    scanners::DAY,
};

/// A class of distributed scans.
#[derive(Clone, Copy, Debug)]
pub struct Class {
    /// Its name in the table.
    pub name: &'static str,
    /// Its duration in seconds.
    pub span: u32,
    /// Contacts of each source.
    pub each: usize,
    /// Number of addresses that it covers.
    pub part: usize,
}

/// The classes.
pub const CLASSES: [Class; 5] = [
    class("half in an hour, three contacts a source", 3600, 3, 512),
    class("half in an hour, one contact a source", 3600, 1, 512),
    class("half in six hours, two contacts a source", 6 * 3600, 2, 512),
    class("half in a day, three contacts a source", DAY, 3, 512),
    class("all in a day, three contacts a source", DAY, 3, 1024),
];

/// Contacts of unrelated sources, in hundredths a day and address.
pub const NOISE: [u32; 4] = [0, 10, 100, 1000];

/// The port: not one that the network serves.
const PORT: u16 = 23;

const fn class(name: &'static str, span: u32, each: usize, part: usize) -> Class {
    Class { name, span, each, part }
}

/// Sources without any connection with each other.
struct Unrelated<'all> {
    rng: &'all mut Rng,
    events: &'all mut Vec<Event>,
}

impl Unrelated<'_> {
    /// Adds `contacts` contacts at a port, from `start` on for a day.
    fn scan(&mut self, port: u16, contacts: u32, start: u32) {
        let mut left = contacts;
        while left > 0 {
            let source = self.rng.u64(..1 << 32);
            let at = start + self.rng.u32(..DAY);
            let targets: Vec<u32> = match self.rng.u32(..10) {
                // Each at a random address, as worms do.
                0..6 => vec![self.rng.u32(RANGE)],
                6 => (0..3).map(|_| self.rng.u32(RANGE)).collect(),
                // All addresses in random order, of which the first ones count.
                7 | 8 => self.rng.choose_multiple(RANGE, 5),
                // All addresses, from the first one on.
                _ => RANGE.take(5).collect(),
            };
            for (host, at) in targets.into_iter().take(left as usize).zip(at..) {
                self.fail(source, (host, port), at);
                left -= 1;
            }
        }
    }

    fn fail(&mut self, source: u64, pair: (u32, u16), at: u32) {
        self.events.push(Event::silent(at, source, pair));
    }
}

/// Contacts with a /22 in a day at this many hundredths a day and address.
const fn contacts(noise: u32) -> u32 {
    noise * ADDRESSES / 100
}

/// Returns the part of `trials` scans that is found while they go on, and the average number of addresses that they have
/// covered then.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
pub fn recall(class: &Class, noise: u32, trials: u64, seed: u64) -> (f64, f64) {
    let found: Vec<usize> =
        (0..trials).filter_map(|it| find(class, noise, &mut Rng::with_seed(seed << 32 | it))).collect();
    let average = found.iter().sum::<usize>() as f64 / found.len().max(1) as f64;
    (found.len() as f64 / trials as f64, average)
}

/// Returns the number of contacts of a scan up to its report.
fn find(class: &Class, noise: u32, rng: &mut Rng) -> Option<usize> {
    let mut events = Vec::new();
    for day in 0..3 {
        Unrelated { rng, events: &mut events }.scan(PORT, contacts(noise), day * DAY);
    }
    let begin = DAY + rng.u32(..DAY / 2);
    let targets = rng.choose_multiple(RANGE, class.part);
    for (number, host) in targets.into_iter().enumerate() {
        let at = begin + rng.u32(..class.span);
        let source = SCAN + (number / class.each) as u64;
        events.push(Event::silent(at, source, (host, PORT)));
    }
    events.sort_by_key(|event| event.at);
    let mut rule = Ours::new(SETS.map(|sets| sets / 64), rng.u64(..));
    let mut covered = HashSet::new();
    for event in events {
        if event.source >= SCAN {
            covered.insert(event.pair);
        }
        if rule.read(&event).group == Noted::Found && event.at >= begin {
            return (event.at < begin + class.span + 3600).then_some(covered.len());
        }
    }
    None
}

/// Number of the first source of a scan.
const SCAN: u64 = 1 << 40;

/// Ports that unrelated sources scan, with their contacts in hundredths a day and address.
fn scanned_ports() -> impl Iterator<Item = (u16, u32)> {
    let busy =
        [(23, 2000), (445, 1000), (22, 500), (80, 300), (443, 300), (3389, 200), (8080, 100), (5555, 50)];
    busy.into_iter().chain((0..40).map(|it| (9000 + it, 3 * u32::from(it))))
}

/// Runs `days` days of unrelated sources and of clients of services that are gone. Returns the number of days of groups,
/// and of those that were reported.
pub fn unrelated(days: u32, seed: u64) -> [u64; 2] {
    let mut rng = Rng::with_seed(seed);
    let mut rule = Ours::new(SETS, rng.u64(..));
    let (mut groups, mut reported) = (0, 0);
    for day in 0..days {
        let mut events = Vec::new();
        let mut sources = Unrelated { rng: &mut rng, events: &mut events };
        for (port, noise) in scanned_ports() {
            sources.scan(port, contacts(noise), day * DAY);
        }
        // Clients of one service that has been gone for long, and of another one that is gone since today.
        let [gone, moved] = [0, 1].map(|_| sources.rng.u32(RANGE));
        let crowds = [(gone, 443, 300), (moved, 443, sources.rng.u32(..5000)), (moved, 9001, 1000)];
        for (host, port, clients) in crowds {
            for _ in 0..clients {
                let (source, at) = (sources.rng.u64(..1 << 32), day * DAY + sources.rng.u32(..DAY));
                (0..3).for_each(|it| sources.fail(source, (host, port), at + it));
            }
        }
        events.sort_by_key(|event| event.at);
        let mut known = HashSet::new();
        for event in &events {
            let (host, port) = event.pair;
            known.insert((host / portsentry_common::scan::group::BLOCK, port));
            reported += u64::from(rule.read(event).group == Noted::Found);
        }
        groups += known.len() as u64;
    }
    [groups, reported]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_work_is_found_and_unrelated_sources_are_not() {
        for class in &CLASSES[..2] {
            let (recall, covered) = recall(class, 10, 20, 7);
            assert!(recall >= 0.99, "{}: {recall}", class.name);
            assert!(covered < 450.0, "{}: {covered}", class.name);
        }
        let [groups, reported] = unrelated(2, 7);
        assert!(groups > 150, "{groups}");
        assert_eq!(reported, 0);
    }
}
