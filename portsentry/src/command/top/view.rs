//! The content of a frame: the difference between two samples.

mod source;

use std::{
    cmp::Reverse,
    collections::HashMap,
    rc::Rc,
    time::{Duration, SystemTime},
};

use ipnet::IpNet;
use portsentry_common::{block::Block, classify::Protocol, counter::Counter};
use serde::Serialize;

use self::source::probed;
pub(super) use self::source::{Held, Source};
use super::sample::{Maps, Sample};
use crate::{control::Mode, inspect::would::Would, policy::State};

/// Maximum number of ports shown, and of sources printed by `--once`.
const MOST: usize = 100;

/// Kinds of probes, by their counters.
const KINDS: [(Counter, &str); 10] = [
    (Counter::Syn, "SYN"),
    (Counter::Fin, "FIN"),
    (Counter::Null, "NULL"),
    (Counter::Xmas, "XMAS"),
    (Counter::Unknown, "odd flags"),
    (Counter::Maimon, "Maimon"),
    (Counter::Ack, "ACK"),
    (Counter::Fragment, "tiny fragment"),
    (Counter::Chain, "header chain"),
    (Counter::Udp, "UDP"),
];

/// The content of a frame.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct View {
    pub interfaces: Vec<String>,
    /// The mode of enforcement.
    pub mode: Option<Mode>,
    pub daemon: Option<i32>,
    /// The directory, if nothing is pinned there.
    pub nothing_in: Option<String>,
    pub rates: Vec<Rate>,
    pub kinds: Vec<Rate>,
    pub sources: Vec<Source>,
    /// Number of further sources, which the daemon left out.
    pub left_out: usize,
    /// The sources that would be held, while PortSentry only observes.
    pub would: Vec<Source>,
    /// Number of further ones.
    pub would_left_out: usize,
    /// Reason why these are unknown.
    pub problem: Option<String>,
    /// Ports of the last probes of held sources, and all recorded ports of those that would be held, with the number
    /// of sources for each.
    pub ports: Vec<(String, usize)>,
    pub gauges: Vec<Gauge>,
}

/// A rate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Rate {
    pub what: &'static str,
    pub a_second: f64,
    pub total: u64,
}

/// Fill level of a map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Gauge {
    pub what: &'static str,
    pub used: u64,
    pub size: u64,
}

impl Gauge {
    /// Whether at least nine tenths are in use.
    pub(super) fn is_nearly_full(&self) -> bool {
        u128::from(self.used) * 10 >= u128::from(self.size) * 9 && self.size > 0
    }
}

impl View {
    /// Returns the difference between two samples.
    pub(super) fn new(before: &Sample, now: &Sample) -> Self {
        let shown = Self {
            interfaces: now.interfaces.clone(),
            mode: now.mode.clone(),
            daemon: now.daemon,
            ..Self::default()
        };
        let Some(maps) = &now.maps else {
            return Self { nothing_in: Some(now.directory.clone()), ..shown };
        };
        let seconds = now.taken.saturating_duration_since(before.taken).as_secs_f64();
        let earlier = before.maps.as_ref();
        let count = |counters: &[Counter], of: &Maps| -> u64 {
            counters.iter().map(|counter| of.counters.get(*counter)).sum()
        };
        let rate = |what, counters: &[Counter]| {
            let total = count(counters, maps);
            // New maps count from zero.
            let before = earlier.map_or(total, |earlier| count(counters, earlier)).min(total);
            Rate { what, a_second: per_second(total - before, seconds), total }
        };
        let rates = vec![
            rate("probes", &[Counter::Probes]),
            rate("dropped", &[Counter::Dropped, Counter::DroppedProbes, Counter::DroppedFenced]),
            // A proven source is among the blocked ones.
            rate("newly blocked", &[Counter::Blocked]),
            rate("newly fenced", &[Counter::Fenced]),
            rate("reported", &[Counter::Reported]),
            rate("not reported", &[Counter::OverRate, Counter::RingFull]),
        ];
        let mut kinds: Vec<Rate> = KINDS.iter().map(|(counter, name)| rate(name, &[*counter])).collect();
        kinds.retain(|kind| kind.total > 0);
        kinds.sort_by(|one, other| other.a_second.total_cmp(&one.a_second).then(other.total.cmp(&one.total)));
        let (would, would_left_out, problem) = match &now.would {
            None => (Vec::new(), 0, None),
            Some(Ok(found)) => (would(&found.sources, now.now, maps), found.left_out, None),
            Some(Err(problem)) => (Vec::new(), 0, Some(problem.clone())),
        };
        Self {
            rates,
            kinds,
            sources: sources(earlier, maps, seconds),
            left_out: maps.left_out,
            ports: ports(maps, &would),
            would,
            would_left_out,
            problem,
            gauges: gauges(maps),
            ..shown
        }
    }

    /// Returns the view without all but the first sources.
    pub(super) fn shortened(mut self) -> Self {
        self.sources.truncate(MOST);
        self.would.truncate(MOST);
        self
    }

    /// Returns the held sources and those that would be held.
    pub(super) fn all(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().chain(&self.would)
    }

    /// Whether sources are shown that would be held, and none that is.
    pub(super) const fn only_observes(&self) -> bool {
        self.sources.is_empty() && !self.would.is_empty()
    }
}

/// Returns the held sources, those with the most dropped packets first.
fn sources(before: Option<&Maps>, now: &Maps, seconds: f64) -> Vec<Source> {
    let dropped_before = |address: &IpNet, dropped| {
        let block = before.and_then(|before| before.sources.get(address));
        // The packets of a new block were dropped since the last sample.
        block.map_or(if before.is_some() { 0 } else { dropped }, |(_, block)| block.dropped.min(dropped))
    };
    let source = |(address, (state, block)): (&IpNet, &(State, Block))| Source {
        address: *address,
        state: *state,
        age: Duration::from_nanos(now.now_ns.saturating_sub(block.since_ns.unsigned_abs())),
        held: Held::Now {
            a_second: per_second(block.dropped - dropped_before(address, block.dropped), seconds),
            block: *block,
        },
    };
    let mut sources: Vec<Source> = now.sources.iter().map(source).collect();
    sources.sort_by(|one, other| {
        let by_rate = other.a_second().total_cmp(&one.a_second());
        by_rate.then(other.dropped().cmp(&one.dropped())).then(one.address.cmp(&other.address))
    });
    sources
}

/// Returns the sources that would be held, those seen last first.
fn would(found: &[Would], now: SystemTime, maps: &Maps) -> Vec<Source> {
    let source = |would: &Would| Source {
        address: would.address,
        state: would.state,
        age: now.duration_since(would.last.0).unwrap_or_default(),
        held: Held::Not(Rc::new(would.clone())),
    };
    // An administrator may have blocked some.
    let would = found.iter().filter(|would| !maps.sources.contains_key(&would.address));
    let mut sources: Vec<Source> = would.map(source).collect();
    sources.sort_by_key(|source| (source.age, source.address));
    sources
}

fn ports(maps: &Maps, would: &[Source]) -> Vec<(String, usize)> {
    let mut counted: HashMap<(u16, Protocol), usize> = HashMap::new();
    let held = maps.sources.values().filter_map(|(_, block)| probed(block));
    let observed = would.iter().flat_map(Source::all_ports).filter_map(|port| read_port(port));
    for port in held.chain(observed) {
        *counted.entry(port).or_default() += 1;
    }
    let mut ports: Vec<_> = counted.into_iter().collect();
    ports.sort_by_key(|((port, protocol), count)| (Reverse(*count), *port, *protocol as u8));
    let named =
        |((port, protocol), count): ((u16, Protocol), usize)| (format!("{port}/{}", protocol.name()), count);
    ports.into_iter().take(MOST).map(named).collect()
}

/// Reads a port such as `23/TCP`.
fn read_port(text: &str) -> Option<(u16, Protocol)> {
    let (number, name) = text.split_once('/')?;
    let protocol = [Protocol::Tcp, Protocol::Udp].into_iter().find(|protocol| protocol.name() == name)?;
    Some((number.parse().ok()?, protocol))
}

fn gauges(maps: &Maps) -> Vec<Gauge> {
    let of = |what, used: usize, size: u32| Gauge { what, used: used as u64, size: size.into() };
    let Maps { blocked, fenced, ring, .. } = maps;
    vec![
        of("blocked IPv4", blocked.ipv4, blocked.capacity),
        of("blocked IPv6", blocked.ipv6, blocked.capacity),
        of("fenced IPv4", fenced.ipv4, fenced.capacity),
        of("fenced IPv6", fenced.ipv6, fenced.capacity),
        Gauge { what: "ring (bytes)", used: ring.used.into(), size: ring.size.into() },
    ]
}

#[expect(clippy::cast_precision_loss, reason = "it is shown with three digits")]
fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
#[path = "view/tests.rs"]
pub(super) mod tests;
