use std::time::{Instant, SystemTime};

use bytemuck::Zeroable;
use portsentry_common::{block::Origin, classify::Kind, counter::Counters, scan::Evidence};

use super::*;
use crate::{
    config::Config,
    inspect::would::WouldBe,
    instant::Time,
    kernel::{Fill, Waiting},
    modes::Modes,
    policy::{Enforcement, name_of},
};

const NOW_NS: u64 = 7200 * 1_000_000_000;
/// The wall clock's time of samples.
const NOW: Duration = Duration::from_secs(1_795_389_179);

/// Returns a block by a SYN to this port, two minutes ago.
pub(crate) fn block(port: u16, dropped: u64) -> Block {
    let since_ns = (NOW_NS - 120_000_000_000).cast_signed();
    Block { port, dropped, since_ns, protocol: 6, kind: Kind::Syn as u8, hits: 3, ..Block::zeroed() }
}

/// Returns a sample at a second, with these sources and as many packets dropped as twice the probes.
pub(crate) fn sample(after: u64, probes: u64, sources: Vec<(IpNet, State, Block)>) -> Sample {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let counters = Counters {
        probes,
        syn: probes,
        dropped: probes.saturating_mul(2),
        blocked: 3,
        proven: 2,
        ..Counters::zeroed()
    };
    let fill = Fill { ipv4: sources.len(), ipv6: 0, capacity: 8 };
    let sources = sources.into_iter().map(|(address, state, block)| (address, (state, block)));
    Sample {
        taken: *START.get_or_init(Instant::now) + Duration::from_secs(after),
        now: SystemTime::UNIX_EPOCH + NOW,
        maps: Some(Maps {
            now_ns: NOW_NS,
            counters,
            sources: sources.collect(),
            left_out: 0,
            blocked: fill,
            fenced: Fill { ipv4: 0, ..fill },
            ring: Waiting { size: 4096, used: 1024 },
        }),
        interfaces: vec!["eth0".into()],
        daemon: None,
        directory: "/p".into(),
        mode: Some(Enforcement::new(&Config::default(), Modes::default()).into()),
        would: None,
    }
}

/// Returns a source that would be held, last seen so many minutes before [`sample`]'s.
pub(crate) fn would_be(address: &str, state: State, minutes: u64, ports: &[&str]) -> Would {
    let last = Time(SystemTime::UNIX_EPOCH + NOW - Duration::from_secs(60 * minutes));
    Would {
        address: address.parse().unwrap(),
        state,
        first: last,
        last,
        ports: ports.iter().map(ToString::to_string).collect(),
        port_count: ports.len(),
        kind: "TCP SYN/Normal scan".into(),
        packets: 2 * ports.len(),
    }
}

/// Returns a view while PortSentry only observes, with these held sources.
pub(crate) fn observing(held: &[(u8, Block)], sources: Vec<Would>) -> View {
    let sample = sample(0, 10, blocked(held));
    let now = Sample { would: Some(Ok(WouldBe { sources, left_out: 0 })), ..sample.clone() };
    View::new(&sample, &now)
}

fn blocked(sources: &[(u8, Block)]) -> Vec<(IpNet, State, Block)> {
    let address = |last| IpNet::from(std::net::IpAddr::from([192, 0, 2, last]));
    sources.iter().map(|(last, block)| (address(*last), State::Blocked, *block)).collect()
}

/// Returns a view of two samples.
pub(crate) fn view() -> View {
    let before = sample(0, 10, blocked(&[(1, block(11, 5)), (2, block(79, 100))]));
    let now = sample(2, 30, blocked(&[(1, block(11, 45)), (2, block(79, 100)), (3, block(11, 2))]));
    View::new(&before, &now)
}

#[test]
fn rates_are_differences() {
    let view = view();
    assert_eq!(view.rates[0], Rate { what: "probes", a_second: 10.0, total: 30 });
    assert_eq!(view.rates[1], Rate { what: "dropped", a_second: 20.0, total: 60 });
    assert_eq!(view.kinds, [Rate { what: "SYN", a_second: 10.0, total: 30 }]);
    let shown: Vec<_> =
        view.sources.iter().map(|source| (name_of(source.address), source.a_second())).collect();
    let expected = [("192.0.2.1", 20.0), ("192.0.2.3", 1.0), ("192.0.2.2", 0.0)];
    assert_eq!(shown, expected.map(|(address, rate)| (address.to_owned(), rate)));
    assert_eq!(view.ports, [("11/TCP".to_owned(), 2), ("79/TCP".to_owned(), 1)]);
    assert_eq!(view.gauges[0], Gauge { what: "blocked IPv4", used: 3, size: 8 });
}

#[test]
fn a_proven_block_counts_once() {
    let view = view();
    assert_eq!(view.rates[2], Rate { what: "newly blocked", a_second: 0.0, total: 3 });
}

#[test]
fn a_source_is_for_programs_what_it_is_for_people() {
    let value = serde_json::to_value(&view().sources[0]).unwrap();
    let expected = serde_json::json!({
        "address": "192.0.2.1", "state": "blocked", "a_second": 20.0, "dropped": 45, "hits": 3,
        "probe": "11/TCP TCP SYN/Normal scan", "age": 120
    });
    assert_eq!(value, expected);
    let held = Held::Now { a_second: 0.0, block: block(0, 1) };
    let source = Source { held, address: "203.0.113.0/24".parse().unwrap(), ..view().sources[0].clone() };
    let value = serde_json::to_value(source).unwrap();
    assert_eq!((&value["address"], &value["probe"]), (&"203.0.113.0/24".into(), &"administrator".into()));
}

#[test]
fn kinds_have_short_names() {
    for (kind, expected) in [
        (Kind::Syn, "SYN"),
        (Kind::Null, "NULL"),
        (Kind::Xmas, "XMAS"),
        (Kind::Unknown, "odd flags"),
        (Kind::Udp, "UDP"),
        (Kind::Connect, "Connect"),
        (Kind::Chain, "IPv6 header chain"),
    ] {
        let held = Held::Now { a_second: 0.0, block: Block { kind: kind as u8, ..block(11, 0) } };
        assert_eq!(Source { held, ..view().sources[0].clone() }.short_kind(), expected);
    }
    for (form, expected) in [(0, "slow scan"), (Evidence::SWEEP, "sweep")] {
        let block = Block { origin: Origin::Scan as u8, form, ..block(11, 0) };
        let source = Source { held: Held::Now { a_second: 0.0, block }, ..view().sources[0].clone() };
        assert_eq!([source.kind(), source.short_kind()], [expected, expected]);
    }
}

#[test]
fn new_maps_count_from_zero() {
    let before = sample(0, 100, blocked(&[(1, block(11, 50))]));
    let view = View::new(&before, &sample(1, 3, blocked(&[(1, block(11, 2))])));
    assert_eq!((view.rates[0].a_second, view.sources[0].a_second()), (0.0, 0.0));
}

#[test]
fn nothing_pinned_is_shown() {
    let nothing = Sample { maps: None, ..sample(0, 0, Vec::new()) };
    let view = View::new(&nothing, &nothing);
    assert_eq!((view.nothing_in.as_deref(), view.rates.len()), (Some("/p"), 0));
}

#[test]
fn sources_that_would_be_held_are_apart_from_those_that_are() {
    let would = vec![
        would_be("192.0.2.1/32", State::Fenced, 9, &["11/TCP"]),
        would_be("192.0.2.8/32", State::Blocked, 7, &["11/TCP", "79/TCP"]),
        would_be("192.0.2.9/32", State::Fenced, 3, &["69/UDP", "79/TCP"]),
    ];
    let view = observing(&[(1, block(0, 5))], would);
    let names = |sources: &[Source]| -> Vec<String> {
        sources.iter().map(|source| name_of(source.address)).collect()
    };
    assert_eq!(names(&view.sources), ["192.0.2.1"]);
    assert_eq!(
        names(&view.would),
        ["192.0.2.9", "192.0.2.8"],
        "the last one seen is first, and none is there twice"
    );
    assert_eq!(
        view.ports,
        [("79/TCP", 2), ("11/TCP", 1), ("69/UDP", 1)].map(|(port, count)| (port.into(), count))
    );
    let value = serde_json::to_value(&view).unwrap();
    let [held, would] = ["sources", "would"].map(|name| value[name].as_array().unwrap());
    assert_eq!((held.len(), would.len()), (1, 2));
    assert_eq!((&would[1]["address"], &would[1]["state"]), (&"192.0.2.8".into(), &"blocked".into()));
    assert_eq!((&would[1]["packets"], &would[1]["port_count"]), (&4.into(), &2.into()));
}

#[test]
fn ports_of_a_source_are_named_or_counted() {
    let ports = |ports: &[&str], count| {
        let would = Would { port_count: count, ..would_be("192.0.2.9/32", State::Fenced, 1, ports) };
        Source { held: Held::Not(Rc::new(would)), ..view().sources[0].clone() }.ports()
    };
    assert_eq!(ports(&["11/TCP"], 1), ["11/TCP", "11/TCP"]);
    assert_eq!(ports(&["11/TCP", "79/TCP"], 2), ["11/TCP, 79/TCP", "11/TCP+1"]);
    assert_eq!(
        ports(&["1/TCP", "2/TCP", "3/TCP", "4/TCP"], 64),
        ["1/TCP, 2/TCP, 3/TCP and 61 more", "1/TCP+63"]
    );
}
