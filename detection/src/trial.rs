//! Days of traffic through all rules.

use std::collections::HashSet;

use fastrand::Rng;
use portsentry_common::scan::{Shape, Verdict};

use crate::{
    event::Event,
    honest,
    network::{Network, RANGE},
    rules::{Lru, Ours, RULES, Rules, SETS},
    scanners::{self, DAY, Width},
    tally::Tally,
};

/// The number of a first scanner. Honest sources have lower ones.
const SCANNERS: u64 = 1 << 40;

/// The counts of a class.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Number of sources.
    pub sources: u64,
    /// The numbers of failed pairs after which each rule took sources for scanners.
    pub found: [Vec<u32>; RULES.len()],
}

/// The counts of all classes.
#[derive(Debug)]
pub struct Outcomes {
    /// Of [`scanners::CLASSES`].
    pub scanners: Vec<Outcome>,
    /// Of [`honest::CLASSES`].
    pub honest: Vec<Outcome>,
}

/// Runs `days` days, each with `scanners` scanners of each class and `honest` honest sources, all of them new.
pub fn run(seed: u64, days: u32, scanners: u64, honest: u64) -> Outcomes {
    let mut rng = Rng::with_seed(seed);
    let network = Network::new(&mut rng);
    let mut outcomes = Outcomes {
        scanners: vec![Outcome::default(); scanners::CLASSES.len()],
        honest: vec![Outcome::default(); honest::CLASSES.len()],
    };
    for _ in 0..days {
        let mut events = Vec::new();
        for (number, class) in (0_u64..).zip(scanners::CLASSES) {
            for it in 0..scanners {
                class.scan(&network, &mut rng, SCANNERS + number * scanners + it, &mut events);
            }
        }
        for source in 0..honest {
            let class = honest::class_of(source);
            honest::CLASSES[class].0.live(&network, &mut rng, source, &mut events);
            outcomes.honest[class].sources += 1;
        }
        events.sort_by_key(|event| event.at);
        outcomes.count(&events, rng.u64(..), scanners);
        outcomes.scanners.iter_mut().for_each(|it| it.sources += scanners);
    }
    outcomes.scanners.iter_mut().flat_map(|it| &mut it.found).for_each(|it| it.sort_unstable());
    outcomes
}

impl Outcomes {
    fn count(&mut self, events: &[Event], key: u64, scanners: u64) {
        let mut rules = Rules::new(key);
        let mut tally = Tally::default();
        for event in events {
            tally.add(event, rules.read(event).0);
        }
        for (number, source) in tally.sources {
            let class = self.of(number, scanners);
            for (all, found) in class.found.iter_mut().zip(source.found) {
                all.extend(found);
            }
        }
    }

    fn of(&mut self, source: u64, scanners: u64) -> &mut Outcome {
        match source.checked_sub(SCANNERS) {
            #[expect(clippy::cast_possible_truncation, reason = "a class")]
            Some(number) => &mut self.scanners[(number / scanners) as usize],
            None => &mut self.honest[honest::class_of(source)],
        }
    }
}

/// Returns the number of honest sources of `days` days, of `honest` a day, that are fenced if all of them are taken for
/// members of distributed scans: groups can't do worse.
pub fn all_members(seed: u64, days: u32, honest: u64) -> u64 {
    let mut rng = Rng::with_seed(seed);
    let network = Network::new(&mut rng);
    let mut fenced = 0;
    for _ in 0..days {
        let mut events = Vec::new();
        for source in 0..honest {
            honest::CLASSES[honest::class_of(source)].0.live(&network, &mut rng, source, &mut events);
        }
        events.sort_by_key(|event| event.at);
        let mut rule = Ours::new(SETS, rng.u64(..)).raising_all();
        let found = events.iter().filter(|event| rule.read(event).verdict == Verdict::Fence);
        fenced += found.map(|event| event.source).collect::<HashSet<_>>().len() as u64;
    }
    fenced
}

/// Returns the percentage of `scanners` scanners of each width with a probe in `each` seconds that each rule finds in a
/// day.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
pub fn by_pace(seed: u64, each: u32, scanners: u64) -> [f64; RULES.len()] {
    let mut rng = Rng::with_seed(seed);
    let network = Network::new(&mut rng);
    let mut events = Vec::new();
    let widths = [Width::Sweep, Width::Ports, Width::Block];
    for (number, width) in (0..).zip(widths) {
        let class = scanners::class("", each, width, Shape::Ordinary, 0);
        for it in 0..scanners {
            class.scan(&network, &mut rng, number * scanners + it, &mut events);
        }
    }
    events.sort_by_key(|event| event.at);
    let mut rules = Rules::new(rng.u64(..));
    let mut tally = Tally::default();
    for event in &events {
        tally.add(event, rules.read(event).0);
    }
    tally.found().map(|found| 100.0 * found.len() as f64 / (scanners * widths.len() as u64) as f64)
}

/// The numbers of failed pairs after which scanners were fenced beside a flood, of as many scanners.
#[derive(Debug)]
pub struct Beside {
    /// By this project's memory.
    pub ours: Vec<u32>,
    /// By a memory of the same size that forgets the least recently used source.
    pub lru: Vec<u32>,
}

/// Runs a day of `scanners` sweeps with a probe in `each` seconds beside `flood` spoofed sources a second.
///
/// The tables, the flood and the addresses from which it is spoofed are a 64th of the real ones, so that each set sees
/// the same as in real ones.
pub fn beside_flood(seed: u64, flood: u32, each: u32, scanners: u64) -> Beside {
    const PART: u32 = 64;
    const ADDRESSES: u64 = 1 << 32;
    let mut rng = Rng::with_seed(seed);
    let mut ours = Ours::new(SETS.map(|sets| sets / PART as usize), rng.u64(..));
    let mut lru = Lru::new(ours.bytes(), rng.u64(..));
    let network = Network::new(&mut rng);
    let class = scanners::class("", each, Width::Sweep, Shape::Ordinary, 0);
    let mut events = Vec::new();
    for it in 0..scanners {
        let start = events.len();
        class.scan(&network, &mut rng, SCANNERS + it, &mut events);
        // A fast one begins when the flood has filled the memory.
        let delay = if each < 60 { rng.u32(DAY / 4..DAY / 2) } else { 0 };
        events[start..].iter_mut().for_each(|event| event.at += delay);
    }
    events.sort_by_key(|event| event.at);
    let mut events = events.into_iter().peekable();
    let mut tally = Tally::default();
    let mut owed = 0;
    for at in 0..DAY {
        owed += flood;
        for _ in 0..owed / PART {
            let pair = (rng.u32(RANGE), rng.u16(1..1024));
            let source = rng.u64(..ADDRESSES / u64::from(PART));
            let event = Event::silent(at, source, pair);
            ours.note(&event);
            lru.read(&event);
        }
        owed %= PART;
        while let Some(event) = events.next_if(|event| event.at <= at) {
            let verdicts = [ours.read(&event).verdict, lru.read(&event)];
            tally.add(&event, verdicts.map(|verdict| verdict == Verdict::Fence));
        }
    }
    let [ours, lru] = tally.found();
    Beside { ours, lru }
}
