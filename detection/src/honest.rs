//! Classes of honest sources, with the failures that each of them has.

use fastrand::Rng;
use portsentry_common::scan::{Outcome, Shape};

use crate::{
    event::Event,
    network::{ADDRESSES, Network, Pair, RANGE},
    scanners::DAY,
};

/// A class of honest sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A browser: a few services, now and then a link to a port that is gone.
    Browser,
    /// Fifty people behind one address.
    Office,
    /// It visits all web servers, from names of which some are outdated.
    Crawler,
    /// A mail server that retries at a host that is gone.
    Mail,
    /// It watches thirty services, of which a third fail for an hour.
    Monitoring,
    /// It retries at an address that belonged to somebody else.
    FormerTenant,
    /// It contacts peers at their ports, most of which are gone.
    PeerToPeer,
    /// A load balancer that probes all its backends while they fail.
    LoadBalancer,
    /// A client of a service at four addresses, which all moved away at noon.
    Moved,
}

/// The classes, with their share of a thousand sources.
pub const CLASSES: [(Class, &str, u64); 9] = [
    (Class::Browser, "browsers", 680),
    (Class::Office, "offices behind one address", 100),
    (Class::Crawler, "crawlers", 30),
    (Class::Mail, "mail servers", 70),
    (Class::Monitoring, "monitoring during an outage", 10),
    (Class::FormerTenant, "former tenants' clients", 60),
    (Class::PeerToPeer, "peer-to-peer programs", 20),
    (Class::LoadBalancer, "load balancers after a failover", 10),
    (Class::Moved, "clients of a service that moved today", 20),
];

/// Returns the class of source `number`.
#[must_use]
pub fn class_of(number: u64) -> usize {
    let mut left = number % 1000;
    for (place, (_, _, share)) in CLASSES.iter().enumerate() {
        match left.checked_sub(*share) {
            Some(rest) => left = rest,
            None => return place,
        }
    }
    0
}

/// A source's day.
struct Day<'all> {
    network: &'all Network,
    rng: &'all mut Rng,
    source: u64,
    events: &'all mut Vec<Event>,
}

impl Class {
    /// Adds a day of a source's events.
    pub fn live(self, network: &Network, rng: &mut Rng, source: u64, events: &mut Vec<Event>) {
        let mut day = Day { network, rng, source, events };
        match self {
            Self::Browser => {
                let services = 1 + day.rng.u32(..=12);
                day.browse(services, 3);
            }
            Self::Office => (0..50).for_each(|_| day.browse(1, 2)),
            Self::Crawler => day.crawl(),
            Self::Mail => day.mail(),
            Self::Monitoring => day.outage(30, 10),
            Self::FormerTenant => day.former_tenant(),
            Self::PeerToPeer => day.peers(),
            Self::LoadBalancer => day.outage(6, 6),
            Self::Moved => day.moved(),
        }
    }
}

impl Day<'_> {
    fn time(&mut self) -> u32 {
        self.rng.u32(..DAY)
    }

    fn contact(&mut self, at: u32, pair: Pair) {
        let outcome = self.network.outcome(pair);
        self.happen(at, pair, outcome);
    }

    fn happen(&mut self, at: u32, pair: Pair, outcome: Outcome) {
        let event = Event { at: at.min(DAY - 1), source: self.source, pair, outcome, shape: Shape::Ordinary };
        self.events.push(event);
    }

    /// Contacts some services, and one in a hundred times another port of the same host, which it retries.
    fn browse(&mut self, services: u32, retries: u32) {
        for _ in 0..services {
            let at = self.time();
            let pair = self.network.service(self.rng);
            self.contact(at, pair);
            if self.rng.u32(..100) == 0 {
                let wrong = (pair.0, [80, 8443, 8080, 21][self.rng.usize(..4)]);
                (0..retries).for_each(|it| self.contact(at + it, wrong));
            }
        }
    }

    fn crawl(&mut self) {
        let webs: Vec<Pair> =
            self.network.services.iter().filter(|(_, port)| [80, 443].contains(port)).copied().collect();
        for pair in webs {
            let at = self.time();
            self.contact(at, pair);
        }
        // Outdated names.
        for _ in 0..self.rng.u32(..=2) {
            let (at, dark) = (self.time(), self.network.dark(self.rng));
            (0..3).for_each(|it| self.contact(at + 60 * it, (dark, 443)));
        }
    }

    fn mail(&mut self) {
        let dark = [self.network.dark(self.rng), self.network.dark(self.rng)];
        let gone = self.rng.usize(..=2);
        for hour in 0..24 {
            let pair = self.network.service(self.rng);
            self.contact(hour * 3600, pair);
            for host in &dark[..gone] {
                self.contact(hour * 3600 + 60, (*host, 25));
            }
        }
    }

    /// Asks `watched` services every minute for three hours. In the second, the first `failing` of them are down.
    fn outage(&mut self, watched: usize, failing: usize) {
        let begin = self.rng.u32(..DAY - 4 * 3600);
        let services: Vec<Pair> = self.network.services.iter().take(watched).copied().collect();
        for minute in 0..180 {
            for (place, pair) in services.iter().enumerate() {
                let is_down = place < failing && (60..120).contains(&minute);
                let outcome = if is_down { Outcome::Refused } else { Outcome::Served };
                self.happen(begin + 60 * minute, *pair, outcome);
            }
        }
    }

    fn former_tenant(&mut self) {
        let host = self.network.dark(self.rng);
        for port in &[443, 25, 993][..=self.rng.usize(..3)] {
            for hour in 0..24 {
                self.contact(hour * 3600, (host, *port));
            }
        }
    }

    /// Asks four addresses at two ports each hour, of which none answers any more from noon on.
    fn moved(&mut self) {
        let first = self.network.services[0].0;
        for hour in 0..24 {
            for (place, port) in [(0, 443), (1, 443), (2, 443), (3, 443), (0, 80), (1, 80), (2, 80), (3, 80)]
            {
                let host = RANGE.start + (first + place) % ADDRESSES;
                let outcome = if hour < 12 { Outcome::Served } else { Outcome::Silent };
                self.happen(hour * 3600, (host, port), outcome);
            }
        }
    }

    fn peers(&mut self) {
        for _ in 0..5 + self.rng.u32(..=35) {
            let at = self.time();
            let pair = (self.rng.u32(RANGE), 1024 + self.rng.u16(..60_000));
            self.contact(at, pair);
        }
    }
}
