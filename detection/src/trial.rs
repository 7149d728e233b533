//! Days of traffic through all rules.

use std::collections::{HashMap, HashSet};

use fastrand::Rng;
use portsentry_common::scan::{self, Shape, Verdict};

use crate::{
    event::Event,
    honest,
    network::{Network, Pair, RANGE},
    rules::{Lru, Ours, RULES, Rules, SETS},
    scanners::{self, DAY, Width},
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
        let mut failed: HashMap<u64, HashSet<Pair>> = HashMap::new();
        let mut found: [HashSet<u64>; RULES.len()] = Default::default();
        for event in events {
            if event.has_failed() {
                failed.entry(event.source).or_default().insert(event.pair);
            }
            for (place, finds) in rules.read(event).0.into_iter().enumerate() {
                if finds && found[place].insert(event.source) {
                    let contacts = failed.get(&event.source).map_or(0, HashSet::len);
                    let contacts = u32::try_from(contacts).unwrap_or(u32::MAX);
                    self.of(event.source, scanners).found[place].push(contacts);
                }
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

/// Returns the percentage of `scanners` scanners of each width with a probe in `each` seconds that each rule finds in a
/// day.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
pub fn by_pace(seed: u64, each: u32, scanners: u64) -> [f64; RULES.len()] {
    let mut rng = Rng::with_seed(seed);
    let network = Network::new(&mut rng);
    let mut events = Vec::new();
    let widths = [Width::Sweep, Width::Ports, Width::Block];
    for (number, width) in (0..).zip(widths) {
        let class = scanners::Class { each, width, shape: Shape::Ordinary, mixed: 0, name: "" };
        for it in 0..scanners {
            class.scan(&network, &mut rng, number * scanners + it, &mut events);
        }
    }
    events.sort_by_key(|event| event.at);
    let mut rules = Rules::new(rng.u64(..));
    let mut found: [HashSet<u64>; RULES.len()] = Default::default();
    for event in &events {
        for (found, finds) in found.iter_mut().zip(rules.read(event).0) {
            if finds {
                found.insert(event.source);
            }
        }
    }
    found.map(|sources| 100.0 * sources.len() as f64 / (scanners * widths.len() as u64) as f64)
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
    let class = scanners::Class { each, width: Width::Sweep, shape: Shape::Ordinary, mixed: 0, name: "" };
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
    let mut tried: HashMap<u64, HashSet<Pair>> = HashMap::new();
    let mut fenced: [HashMap<u64, u32>; 2] = Default::default();
    let mut owed = 0;
    for at in 0..DAY {
        owed += flood;
        for _ in 0..owed / PART {
            let pair = (rng.u32(RANGE), rng.u16(1..1024));
            let source = rng.u64(..ADDRESSES / u64::from(PART));
            let event = Event { at, source, pair, outcome: scan::Outcome::Silent, shape: Shape::Ordinary };
            ours.note(&event);
            lru.read(&event);
        }
        owed %= PART;
        while let Some(event) = events.next_if(|event| event.at <= at) {
            let pairs = tried.entry(event.source).or_default();
            if event.has_failed() {
                pairs.insert(event.pair);
            }
            let verdicts = [ours.read(&event).verdict, lru.read(&event)];
            for (fenced, verdict) in fenced.iter_mut().zip(verdicts) {
                if verdict == Verdict::Fence {
                    fenced.entry(event.source).or_insert(u32::try_from(pairs.len()).unwrap_or(u32::MAX));
                }
            }
        }
    }
    let [ours, lru] = fenced.map(|fenced| {
        let mut contacts: Vec<u32> = fenced.into_values().collect();
        contacts.sort_unstable();
        contacts
    });
    Beside { ours, lru }
}
