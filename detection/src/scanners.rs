//! Classes of scanners: by pace, width, fingerprint, and evasion by mixing in known services.

use fastrand::Rng;
use portsentry_common::scan::Shape;

use crate::{
    event::Event,
    network::{Network, Pair, RANGE},
};

/// A day in seconds.
pub const DAY: u32 = 86_400;
/// A scanner stops after as many probes. Later ones would decide nothing.
const MOST: u32 = 300;

/// The pairs that a scanner tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// All ports of one host.
    Ports,
    /// One port of all addresses.
    Sweep,
    /// A few ports of all addresses.
    Block,
}

/// A class of scanners.
#[derive(Clone, Copy, Debug)]
pub struct Class {
    /// Its name in the table.
    pub name: &'static str,
    /// Seconds between two probes.
    pub each: u32,
    /// The pairs that it tries.
    pub width: Width,
    /// The SYNs' shape.
    pub shape: Shape,
    /// Known services that it contacts before each probe.
    pub mixed: u32,
}

/// The classes.
pub const CLASSES: [Class; 12] = [
    class("fast sweep, SYN without options", 1, Width::Sweep, Shape::Bare, 0),
    class("fast sweep, connect", 1, Width::Sweep, Shape::Ordinary, 0),
    class("fast scan of a host, connect", 1, Width::Ports, Shape::Ordinary, 0),
    class("a probe in 30 s, block", 30, Width::Block, Shape::Ordinary, 0),
    class("a probe in 5 min, sweep", 300, Width::Sweep, Shape::Ordinary, 0),
    class("a probe in 5 min, ports", 300, Width::Ports, Shape::Ordinary, 0),
    class("a probe in 5 min, block, known pattern", 300, Width::Block, Shape::Pattern, 0),
    class("a probe an hour, sweep", 3600, Width::Sweep, Shape::Ordinary, 0),
    class("a probe an hour, ports", 3600, Width::Ports, Shape::Ordinary, 0),
    class("a probe in 5 min, one known service each", 300, Width::Block, Shape::Ordinary, 1),
    class("a probe in 5 min, three known services each", 300, Width::Block, Shape::Ordinary, 3),
    class("fast sweep, three known services each", 1, Width::Sweep, Shape::Ordinary, 3),
];

/// Returns a class: see its fields.
#[must_use]
pub const fn class(name: &'static str, each: u32, width: Width, shape: Shape, mixed: u32) -> Class {
    Class { name, each, width, shape, mixed }
}

impl Class {
    /// Adds a day of a scanner's events.
    pub fn scan(&self, network: &Network, rng: &mut Rng, source: u64, events: &mut Vec<Event>) {
        let begin = rng.u32(..self.each.min(DAY / 2));
        let host = network.server(rng);
        let ports: Vec<u16> = match self.width {
            Width::Ports => {
                let mut all: Vec<u16> = (1..=2000).collect();
                rng.shuffle(&mut all);
                all
            }
            Width::Sweep => vec![[22, 23, 80, 443, 445, 3389, 5900, 8080][rng.usize(..8)]],
            Width::Block => vec![22, 23, 80, 443, 3389, 5900],
        };
        let mut addresses: Vec<u32> = RANGE.collect();
        rng.shuffle(&mut addresses);
        let target = |number: usize| -> Pair {
            match self.width {
                Width::Ports => (host, ports[number % ports.len()]),
                Width::Sweep | Width::Block => {
                    (addresses[number / ports.len() % addresses.len()], ports[number % ports.len()])
                }
            }
        };
        let probes = ((DAY - begin) / self.each).min(MOST);
        for number in 0..probes {
            let at = begin + number * self.each;
            let known = (0..self.mixed).map(|_| network.service(rng));
            for pair in known.collect::<Vec<_>>().into_iter().chain([target(number as usize)]) {
                let outcome = network.outcome(pair);
                events.push(Event { at, source, pair, outcome, shape: self.shape });
            }
        }
    }
}
