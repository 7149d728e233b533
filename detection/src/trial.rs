//! Days of traffic through all rules.

use std::collections::{HashMap, HashSet};

use fastrand::Rng;
use portsentry_common::scan::{self, Shape, Verdict};

use crate::{
    detector::{LeakyBucket, Ours, RandomWalk, SimpleScan},
    event::Event,
    honest,
    network::{Network, Pair},
    scanners::{self, DAY},
};

/// The rules, in the table's order.
pub const RULES: [&str; 5] =
    ["portsentry, report", "portsentry, fence", "TRW", "simple-scan", "leaky bucket"];

/// Sets of sources on probation and of suspects: 32 MiB together, for two and a half million sources.
pub const SETS: [usize; 2] = [1 << 18, 1 << 17];

/// The number of a first scanner. Honest sources have lower ones.
const SCANNERS: u64 = 1 << 40;

/// The counts of a class.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Number of sources.
    pub sources: u64,
    /// Sources that each rule took for scanners.
    pub found: [u64; RULES.len()],
    /// Failed pairs up to that, of all these sources.
    pub contacts: [u64; RULES.len()],
    /// The most failed pairs up to that.
    pub most: [u64; RULES.len()],
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
    outcomes
}

impl Outcomes {
    fn count(&mut self, events: &[Event], key: u64, scanners: u64) {
        let mut ours = Ours::new(SETS, key);
        let (mut walk, mut scan, mut bucket) =
            (RandomWalk::default(), SimpleScan::default(), LeakyBucket::default());
        let mut failed: HashMap<u64, HashSet<Pair>> = HashMap::new();
        let mut found: [HashSet<u64>; RULES.len()] = Default::default();
        for event in events {
            if event.has_failed() {
                failed.entry(event.source).or_default().insert(event.pair);
            }
            let verdict = ours.read(event);
            let finds = [
                verdict >= Verdict::Report,
                verdict >= Verdict::Fence,
                walk.read(event),
                scan.read(event),
                bucket.read(event),
            ];
            for (place, finds) in finds.into_iter().enumerate() {
                if finds && found[place].insert(event.source) {
                    let contacts = failed.get(&event.source).map_or(0, |pairs| pairs.len() as u64);
                    let outcome = self.of(event.source, scanners);
                    outcome.found[place] += 1;
                    outcome.contacts[place] += contacts;
                    outcome.most[place] = outcome.most[place].max(contacts);
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

/// Runs a day of scanners with a probe in `each` seconds beside `flood` spoofed sources a second. Returns the part that
/// is fenced.
///
/// The tables, the flood and the addresses from which it is spoofed are a 64th of the real ones, so that each set sees
/// the same as in real ones.
pub fn beside_flood(seed: u64, flood: u32, each: u32, scanners: u64) -> f64 {
    const PART: u32 = 64;
    const ADDRESSES: u64 = 1 << 32;
    let mut rng = Rng::with_seed(seed);
    let mut rule = Ours::new(SETS.map(|sets| sets / PART as usize), rng.u64(..));
    let network = Network::new(&mut rng);
    let class = scanners::Class { each, ..scanners::CLASSES[4] };
    let mut events = Vec::new();
    (0..scanners).for_each(|it| class.scan(&network, &mut rng, SCANNERS + it, &mut events));
    events.sort_by_key(|event| event.at);
    let mut events = events.into_iter().peekable();
    let mut fenced = HashSet::new();
    let mut owed = 0;
    for at in 0..DAY {
        owed += flood;
        for _ in 0..owed / PART {
            let pair = (rng.u16(..1024), rng.u16(1..1024));
            let source = rng.u64(..ADDRESSES / u64::from(PART));
            rule.note(&Event { at, source, pair, outcome: scan::Outcome::Silent, shape: Shape::Ordinary });
        }
        owed %= PART;
        while let Some(event) = events.next_if(|event| event.at <= at) {
            if rule.read(&event) == Verdict::Fence {
                fenced.insert(event.source);
            }
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let part = fenced.len() as f64 / scanners as f64;
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    const FENCE: usize = 1;

    #[test]
    fn every_scanner_is_fenced_and_no_honest_source_is() {
        let Outcomes { scanners, honest } = run(3, 1, 10, 2000);
        for (class, outcome) in scanners::CLASSES.iter().zip(scanners) {
            assert_eq!(outcome.found[FENCE], outcome.sources, "{}", class.name);
            let most = if class.mixed == 0 { 20 } else { 40 };
            assert!(outcome.most[FENCE] <= most, "{}: {outcome:?}", class.name);
        }
        for ((class, name, _), outcome) in honest::CLASSES.iter().zip(honest) {
            assert!(outcome.sources > 0, "{name}");
            // Peer-to-peer programs are only reported, but for chance.
            let most = if *class == honest::Class::PeerToPeer { 2 } else { 0 };
            assert!(outcome.found[FENCE] <= most, "{name}: {outcome:?}");
        }
    }

    #[test]
    fn a_flood_hides_no_slow_scanner() {
        let fenced = beside_flood(5, 1000, 300, 200);
        assert!(fenced >= 0.99, "{fenced}");
    }
}
