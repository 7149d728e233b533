//! The rules that are compared.

use std::collections::{HashMap, HashSet};

use portsentry_common::{
    address::Ipv4,
    scan::{
        Contact, Outcome, Pair, Verdict,
        memory::{ENTRANTS, Memory, Noted, SUSPECTS},
        suspect::Suspect,
    },
};

use crate::{event::Event, network};

/// Time for which a port that was served is no evidence, in seconds: a day, as `ANSWERS` remembers it.
const SERVED: u32 = 86_400;

/// This project's rules, in tables as the kernel has them.
#[derive(Debug)]
pub struct Ours {
    probation: Vec<[u64; ENTRANTS]>,
    suspects: Vec<[Suspect; SUSPECTS]>,
    key: u64,
    served: HashMap<network::Pair, u32>,
}

impl Ours {
    /// Returns empty tables with these numbers of sets.
    pub fn new([probation, suspects]: [usize; 2], key: u64) -> Self {
        let (probation, suspects) = (vec![Default::default(); probation], vec![Default::default(); suspects]);
        Self { probation, suspects, key, served: HashMap::new() }
    }

    /// Notes a contact, without regard to ports that were served.
    pub fn note(&mut self, event: &Event) -> Noted {
        let contact = contact(event, self.key);
        let Self { probation, suspects, key, .. } = self;
        Memory { probation, suspects, key: *key }.note(event.source, &contact, event.at)
    }

    /// Reads an event. Returns the verdict on its source, if it is graver than before.
    pub fn read(&mut self, event: &Event) -> Verdict {
        if !event.has_failed() {
            self.served.insert(event.pair, event.at);
        } else if self.served.get(&event.pair).is_some_and(|at| event.at.saturating_sub(*at) < SERVED) {
            return Verdict::None;
        }
        match self.note(event) {
            Noted::Suspected(verdict) => verdict,
            Noted::Nothing | Noted::Enters | Noted::NoRoom => Verdict::None,
        }
    }
}

fn contact(event: &Event, key: u64) -> Contact {
    let (host, port) = event.pair;
    let [high, low] = host.to_be_bytes();
    let pair = Pair::new(Ipv4 { octets: [198, 18, high, low] }, port, key);
    Contact {
        pair,
        outcome: event.outcome,
        shape: event.shape,
        is_high: port > 1023,
        is_member: false,
        is_open: false,
    }
}

/// Threshold Random Walk (Jung et al., 2004) by distinct hosts, with its parameters of 0.8 and 0.2, and 1 % of
/// errors of either kind.
#[derive(Debug, Default)]
pub struct RandomWalk {
    ratios: HashMap<u64, (f64, HashSet<u16>)>,
}

impl RandomWalk {
    /// Reads an event. Returns whether its source is taken for a scanner from now on.
    pub fn read(&mut self, event: &Event) -> bool {
        const ERROR: f64 = 0.01;
        const SUCCESS: [f64; 2] = [0.8, 0.2];
        let [honest, scanner] = SUCCESS;
        let (ratio, hosts) = self.ratios.entry(event.source).or_insert((1.0, HashSet::new()));
        if !hosts.insert(event.pair.0) {
            return false;
        }
        *ratio *= if event.has_failed() { (1.0 - scanner) / (1.0 - honest) } else { scanner / honest };
        if *ratio <= ERROR / (1.0 - ERROR) {
            // Taken for honest; the walk begins anew.
            *ratio = 1.0;
        }
        *ratio >= (1.0 - ERROR) / ERROR
    }
}

/// Zeek's simple-scan: 25 distinct failed pairs, none of which is older than 15 minutes; 10 if three hosts are dark.
#[derive(Debug, Default)]
pub struct SimpleScan {
    failures: HashMap<u64, HashMap<network::Pair, (u32, bool)>>,
}

impl SimpleScan {
    /// Reads an event. Returns whether its source is taken for a scanner from now on.
    pub fn read(&mut self, event: &Event) -> bool {
        const WINDOW: u32 = 15 * 60;
        if !event.has_failed() {
            return false;
        }
        let failures = self.failures.entry(event.source).or_default();
        failures.retain(|_, (at, _)| event.at.saturating_sub(*at) < WINDOW);
        let is_dark = event.outcome == Outcome::Silent;
        failures.entry(event.pair).or_insert((event.at, is_dark));
        let dark: HashSet<u16> =
            failures.iter().filter(|(_, (_, is_dark))| *is_dark).map(|((host, _), _)| *host).collect();
        failures.len() >= if dark.len() >= 3 { 10 } else { 25 }
    }
}

/// `CrowdSec`'s scenario of many ports: a bucket of 15 distinct ports that loses one every five seconds.
#[derive(Debug, Default)]
pub struct LeakyBucket {
    buckets: HashMap<u64, Bucket>,
}

#[derive(Debug, Default)]
struct Bucket {
    level: u32,
    at: u32,
    ports: HashSet<u16>,
}

impl LeakyBucket {
    /// Reads an event. Returns whether its source is taken for a scanner from now on.
    pub fn read(&mut self, event: &Event) -> bool {
        const CAPACITY: u32 = 15;
        const LEAK: u32 = 5;
        if !event.has_failed() {
            return false;
        }
        let bucket = self.buckets.entry(event.source).or_default();
        let leaked = (event.at - bucket.at) / LEAK;
        bucket.level = bucket.level.saturating_sub(leaked);
        bucket.at += leaked * LEAK;
        if bucket.level == 0 {
            (bucket.at, bucket.ports) = (event.at, HashSet::new());
        }
        if bucket.ports.insert(event.pair.1) {
            bucket.level += 1;
        }
        bucket.level > CAPACITY
    }
}
