//! The content of a frame: the difference between two samples.

use std::{cmp::Reverse, collections::HashMap, time::Duration};

use ipnet::IpNet;
use portsentry_common::{
    block::Block,
    classify::{Kind, Protocol},
    counter::Counter,
};
use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::sample::{Maps, Sample};
use crate::{
    control::Mode,
    policy::{State, name_of},
    sink::classic,
};

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
    /// Ports of the last probes of held sources, with the number of sources for each.
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

/// A blocked or fenced source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Source {
    /// A host, or a blocked network.
    pub address: IpNet,
    pub state: State,
    /// Packets dropped per second.
    pub a_second: f64,
    /// Time since it has been blocked or fenced.
    pub age: Duration,
    pub block: Block,
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

impl Source {
    /// Returns the port of the last probe, or `None` for an administrator's block.
    pub(super) fn port(&self) -> Option<String> {
        port(&self.block)
    }

    /// Returns the kind of the last probe, or the other cause of the block.
    pub(super) fn kind(&self) -> String {
        if self.block.port == 0 {
            return "administrator".into();
        }
        let kind = Kind::try_from(self.block.kind);
        kind.map_or_else(
            |_| "unknown".into(),
            |kind| classic::scan_type(kind, self.block.flags).trim().to_owned(),
        )
    }

    /// Returns the kind of the last probe in a word or two.
    pub(super) fn short_kind(&self) -> String {
        match Kind::try_from(self.block.kind) {
            _ if self.block.port == 0 => "administrator".into(),
            Ok(Kind::Unknown) => "odd flags".into(),
            Ok(_) => {
                let kind = self.kind();
                let kind = kind.strip_prefix("TCP ").unwrap_or(&kind);
                let end = kind.find(['/']).or_else(|| kind.find(" scan")).unwrap_or(kind.len());
                kind[..end].into()
            }
            Err(_) => "unknown".into(),
        }
    }

    /// Returns the last probe's port and kind.
    fn probe(&self) -> String {
        self.port().map_or_else(|| self.kind(), |port| format!("{port} {}", self.kind()))
    }

    /// Returns the name of its state.
    pub(super) const fn state_name(&self) -> &'static str {
        match self.state {
            State::Blocked => "blocked",
            State::Fenced => "fenced",
        }
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut source = serializer.serialize_struct("Source", 7)?;
        source.serialize_field("address", &name_of(self.address))?;
        source.serialize_field("state", &self.state)?;
        source.serialize_field("a_second", &self.a_second)?;
        source.serialize_field("dropped", &self.block.dropped)?;
        source.serialize_field("hits", &self.block.hits)?;
        source.serialize_field("probe", &self.probe())?;
        source.serialize_field("age", &self.age.as_secs())?;
        source.end()
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
        Self {
            rates,
            kinds,
            sources: sources(earlier, maps, seconds),
            ports: ports(maps),
            gauges: gauges(maps),
            ..shown
        }
    }

    /// Returns the view without all but the first sources.
    pub(super) fn shortened(mut self) -> Self {
        self.sources.truncate(MOST);
        self
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
        a_second: per_second(block.dropped - dropped_before(address, block.dropped), seconds),
        age: Duration::from_nanos(now.now_ns.saturating_sub(block.since_ns.unsigned_abs())),
        block: *block,
    };
    let mut sources: Vec<Source> = now.sources.iter().map(source).collect();
    sources.sort_by(|one, other| {
        let by_rate = other.a_second.total_cmp(&one.a_second);
        by_rate.then(other.block.dropped.cmp(&one.block.dropped)).then(one.address.cmp(&other.address))
    });
    sources
}

fn port(block: &Block) -> Option<String> {
    let protocol = Protocol::try_from(block.protocol).ok().filter(|_| block.port != 0)?;
    Some(format!("{}/{}", block.port, protocol.name()))
}

fn ports(maps: &Maps) -> Vec<(String, usize)> {
    let mut counted: HashMap<(u16, u8), (String, usize)> = HashMap::new();
    for (_, block) in maps.sources.values() {
        if let Some(port) = port(block) {
            counted.entry((block.port, block.protocol)).or_insert((port, 0)).1 += 1;
        }
    }
    let mut ports: Vec<_> = counted.into_iter().collect();
    ports.sort_by_key(|(key, (_, count))| (Reverse(*count), *key));
    ports.into_iter().take(MOST).map(|(_, port)| port).collect()
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
