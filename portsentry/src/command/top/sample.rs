//! Computes what `top` shows, from two samples of the pinned maps.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    time::{Duration, Instant},
};

use nix::net::if_::if_indextoname;
use portsentry_common::{
    block::Block,
    classify::{Kind, Protocol},
    counter::{Counter, Counters},
};
use serde::Serialize;

use crate::{
    command::mode,
    config::Config,
    control::Mode,
    kernel::{Error, Fill, Observer, Waiting, monotonic_ns},
    modes::Modes,
    policy::State,
    sink::classic,
};

/// Maximum number of sources and ports shown; a terminal has fewer lines.
const MOST: usize = 100;

/// Kinds of probes, by their counters.
const KINDS: [(Counter, &str); 9] = [
    (Counter::Syn, "SYN"),
    (Counter::Fin, "FIN"),
    (Counter::Null, "NULL"),
    (Counter::Xmas, "XMAS"),
    (Counter::Unknown, "odd flags"),
    (Counter::Maimon, "Maimon"),
    (Counter::Ack, "ACK"),
    (Counter::Fragment, "tiny fragment"),
    (Counter::Udp, "UDP"),
];

/// A sample of the maps.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    taken: Instant,
    cost: Duration,
    maps: Option<Maps>,
    interfaces: Vec<String>,
    daemon: Option<i32>,
    directory: String,
    mode: Option<Mode>,
}

#[derive(Clone, Debug)]
struct Maps {
    counters: Counters,
    sources: BTreeMap<IpAddr, (State, Block)>,
    blocked: Fill,
    fenced: Fill,
    ring: Waiting,
}

impl Sample {
    /// Takes a sample of the maps in `PIN_PATH`.
    pub(super) fn take(config: &Config, modes: Modes) -> Result<Self, Error> {
        let taken = Instant::now();
        let directory = &config.pin_path;
        let observer = Observer::open(directory)?;
        let maps = observer.as_ref().map(Maps::read).transpose()?;
        let links = observer.as_ref().map(Observer::links).unwrap_or_default();
        let name = |index: u32| Some(if_indextoname(index).ok()?.to_string_lossy().into_owned());
        Ok(Self {
            taken,
            cost: taken.elapsed(),
            maps,
            interfaces: links.into_iter().filter_map(name).collect(),
            daemon: observer.as_ref().and_then(Observer::daemon),
            directory: directory.display().to_string(),
            mode: observer.as_ref().map(|observer| mode::current(config, modes, observer)),
        })
    }

    /// Returns the time of the sample.
    pub(super) fn taken(&self) -> Instant {
        self.taken
    }

    /// Returns the time that the sample took.
    pub(super) fn cost(&self) -> Duration {
        self.cost
    }
}

impl Maps {
    fn read(observer: &Observer) -> Result<Self, Error> {
        let now = monotonic_ns().unsigned_abs();
        let mut sources = BTreeMap::new();
        // A source in both maps is blocked.
        for state in [State::Fenced, State::Blocked] {
            let standing = observer.sources(state)?.into_iter().filter(|(_, block)| !block.is_over(now));
            sources.extend(standing.map(|(source, block)| (source, (state, block))));
        }
        Ok(Self {
            counters: observer.counters()?,
            sources,
            blocked: observer.fill(State::Blocked)?,
            fenced: observer.fill(State::Fenced)?,
            ring: observer.ring()?,
        })
    }
}

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
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Source {
    pub address: IpAddr,
    pub state: State,
    /// Packets dropped per second.
    pub a_second: f64,
    pub dropped: u64,
    pub hits: u32,
    pub probe: String,
}

/// Fill level of a map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Gauge {
    pub what: &'static str,
    pub used: u64,
    pub size: u64,
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
            rate("newly blocked", &[Counter::Blocked, Counter::Proven]),
            rate("newly fenced", &[Counter::Fenced]),
            rate("reported", &[Counter::Reported]),
            rate("not told", &[Counter::OverRate, Counter::RingFull]),
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
}

fn sources(before: Option<&Maps>, now: &Maps, seconds: f64) -> Vec<Source> {
    let dropped_before = |address: &IpAddr, dropped| {
        let block = before.and_then(|before| before.sources.get(address));
        // The packets of a new block were dropped since the last sample.
        block.map_or(if before.is_some() { 0 } else { dropped }, |(_, block)| block.dropped.min(dropped))
    };
    let mut sources: Vec<Source> = now
        .sources
        .iter()
        .map(|(address, (state, block))| Source {
            address: *address,
            state: *state,
            a_second: per_second(block.dropped - dropped_before(address, block.dropped), seconds),
            dropped: block.dropped,
            hits: block.hits,
            probe: probe(block),
        })
        .collect();
    sources.sort_by(|one, other| {
        let by_rate = other.a_second.total_cmp(&one.a_second);
        by_rate.then(other.dropped.cmp(&one.dropped)).then(one.address.cmp(&other.address))
    });
    sources.truncate(MOST);
    sources
}

/// Names the last probe, or the other cause of the block.
fn probe(block: &Block) -> String {
    let kind = Kind::try_from(block.kind).map(|kind| classic::scan_type(kind, block.flags).trim().to_owned());
    match (port(block), kind) {
        (Some(port), Ok(kind)) => format!("{port} {kind}"),
        (Some(port), Err(_)) => port,
        (None, _) => "administrator".into(),
    }
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
pub(super) mod tests {
    use bytemuck::Zeroable;

    use super::*;
    use crate::policy::Enforcement;

    fn block(port: u16, dropped: u64) -> Block {
        Block { port, dropped, protocol: 6, kind: Kind::Syn as u8, hits: 3, ..Block::zeroed() }
    }

    fn sample(after: u64, probes: u64, blocks: &[(u8, Block)]) -> Sample {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        let counters = Counters { probes, syn: probes, dropped: probes * 2, ..Counters::zeroed() };
        let sources =
            blocks.iter().map(|(last, block)| ([192, 0, 2, *last].into(), (State::Blocked, *block)));
        let fill = Fill { ipv4: blocks.len(), ipv6: 0, capacity: 8 };
        Sample {
            taken: *START.get_or_init(Instant::now) + Duration::from_secs(after),
            cost: Duration::ZERO,
            maps: Some(Maps {
                counters,
                sources: sources.collect(),
                blocked: fill,
                fenced: Fill { ipv4: 0, ..fill },
                ring: Waiting { size: 4096, used: 1024 },
            }),
            interfaces: vec!["eth0".into()],
            daemon: None,
            directory: "/p".into(),
            mode: Some(Enforcement::new(&Config::default(), Modes::default()).into()),
        }
    }

    /// Returns a view of two samples.
    pub(crate) fn view() -> View {
        let before = sample(0, 10, &[(1, block(11, 5)), (2, block(79, 100))]);
        let now = sample(2, 30, &[(1, block(11, 45)), (2, block(79, 100)), (3, block(11, 2))]);
        View::new(&before, &now)
    }

    #[test]
    fn rates_are_differences() {
        let view = view();
        assert_eq!(view.rates[0], Rate { what: "probes", a_second: 10.0, total: 30 });
        assert_eq!(view.rates[1], Rate { what: "dropped", a_second: 20.0, total: 60 });
        assert_eq!(view.kinds, [Rate { what: "SYN", a_second: 10.0, total: 30 }]);
        let shown: Vec<_> =
            view.sources.iter().map(|source| (source.address.to_string(), source.a_second)).collect();
        let expected = [("192.0.2.1", 20.0), ("192.0.2.3", 1.0), ("192.0.2.2", 0.0)];
        assert_eq!(shown, expected.map(|(address, rate)| (address.to_owned(), rate)));
        assert_eq!(view.sources[0].probe, "11/TCP TCP SYN/Normal scan");
        assert_eq!(view.ports, [("11/TCP".to_owned(), 2), ("79/TCP".to_owned(), 1)]);
        assert_eq!(view.gauges[0], Gauge { what: "blocked IPv4", used: 3, size: 8 });
    }

    #[test]
    fn maps_made_anew_count_from_zero() {
        let view = View::new(&sample(0, 100, &[(1, block(11, 50))]), &sample(1, 3, &[(1, block(11, 2))]));
        assert_eq!((view.rates[0].a_second, view.sources[0].a_second), (0.0, 0.0));
    }

    #[test]
    fn nothing_pinned_is_said() {
        let nothing = Sample { maps: None, ..sample(0, 0, &[]) };
        let view = View::new(&nothing, &nothing);
        assert_eq!((view.nothing_in.as_deref(), view.rates.len()), (Some("/p"), 0));
    }
}
