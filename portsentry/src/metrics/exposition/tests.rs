use std::collections::BTreeSet;

use portsentry_common::{counter::Counters, settings::ScanDetection};

use super::*;
use crate::{
    kernel::ScanState,
    metrics::{FleetStats, ListStats, PeerStats, ShareStats, Stats},
    policy::{Census, ScanKind, enforcement::Strength},
    sink::runner::{Outcome, Purpose, Ran},
};

const DOCUMENT: &str = include_str!("../../../../docs/metrics.md");
const DASHBOARD: &str = include_str!("../../../../etc/grafana-portsentry.json");

/// Returns the metrics of a state with all values set. The value of each kernel counter is its position, starting
/// at 1.
fn rendered() -> String {
    let stats = Stats::default();
    let words: Vec<u64> = (1..).take(COUNTERS.len()).collect();
    stats.show(Snapshot {
        counters: bytemuck::pod_read_unaligned::<Counters>(bytemuck::cast_slice(&words)),
        census: Census { blocked: [7, 8], fenced: [9, 10] },
        max_blocked: 65_536,
        max_fenced: 1024,
        ring_size: 4 << 20,
        attached: vec!["eth0".into(), "x\"y\\z\n".into()],
        refused: vec!["eth1".into()],
        unseen: vec!["eth0".into()],
        bound_by_hooks: true,
        dump_age: Some(Duration::from_secs(2)),
        scope_trouble: None,
        scans: Some(ScanState { detection: ScanDetection::Off, memory: None }),
        lost: vec![("log", 3), ("json", 4)],
        strength: Some(Strength::Fencing),
        fleet: Some(fleet()),
        lists: vec![ListStats { name: "drop".into(), entries: 14, in_force: 15, dropped: 16 }],
    });
    let source = "192.0.2.9/32".parse().unwrap();
    for outcome in [Outcome::Refused, Outcome::Refused, Outcome::Done(crate::sink::runner::Output::default())]
    {
        stats.count_command(&Ran {
            network: source,
            purpose: Purpose::Route,
            shown: String::new(),
            outcome,
            id: None,
        });
    }
    stats.count_denied(5);
    stats.count_released("over", 2);
    stats.count_released("administrator", 4);
    stats.count_admitted("trap", 5);
    stats.count_country(Some("DE".into()));
    stats.count_scan(ScanKind::Sweep, true);
    stats.count_left_out(11);
    render(&stats.copy(), Instant::now())
}

fn fleet() -> FleetStats {
    let peer = PeerStats {
        gateway: "gw2".into(),
        is_held: false,
        blocks: 17,
        in_force: 6,
        offset: -2500,
        heard: Some(1_500),
        accepted: 12,
        refused: vec![("rate", 13)],
    };
    let share = ShareStats { servers: 3, connected: 2, waiting: 18, certificate: Some(2_000) };
    FleetStats { is_joined: true, share: Some(share), peers: vec![peer] }
}

#[test]
fn a_dump_of_sockets_grows_older_with_the_figures() {
    let stats = Stats::default();
    stats.show(Snapshot { dump_age: Some(Duration::from_secs(2)), ..Snapshot::default() });
    let text = render(&stats.copy(), Instant::now() + Duration::from_secs(7));
    let (_, age) =
        samples(&text).find(|(name, _)| *name == "portsentry_bound_ports_dump_age_seconds").unwrap();
    assert!((9.0..10.0).contains(&age.parse::<f64>().unwrap()), "{age}");
    stats.show(Snapshot::default());
    let text = render(&stats.copy(), Instant::now());
    assert!(!text.contains("dump_age"), "there is no age before the first dump\n{text}");
}

fn samples(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '))
}

/// Returns the names of the metrics, without labels.
fn names(text: &str) -> BTreeSet<&str> {
    samples(text).filter_map(|(sample, _)| sample.split('{').next()).collect()
}

#[test]
fn an_interface_may_have_any_name() {
    let text = rendered();
    for line in [
        r#"portsentry_interface_attached{interface="x\"y\\z\n"} 1"#,
        r#"portsentry_interface_attached{interface="eth0"} 1"#,
        r#"portsentry_interface_attached{interface="eth1"} 0"#,
    ] {
        assert_eq!(text.lines().filter(|it| *it == line).count(), 1, "{line}\n{text}");
    }
}

#[test]
fn every_counter_of_the_kernel_is_shown_once() {
    let text = rendered();
    for (value, (counter, name, _)) in (1..).zip(COUNTERS) {
        let Some(((family, label, _), word)) = shown(*counter) else {
            assert_eq!(*name, "probes");
            continue;
        };
        let line = format!("portsentry_{family}_total{{{label}=\"{word}\"}} {value}");
        assert_eq!(text.lines().filter(|it| *it == line).count(), 1, "{name}: {line}\n{text}");
    }
}

#[test]
fn everything_else_has_its_figure() {
    let text = rendered();
    for line in [
        "portsentry_blocked_sources{family=\"ipv4\"} 7",
        "portsentry_blocked_sources{family=\"ipv6\"} 8",
        "portsentry_blocked_sources_max{family=\"ipv6\"} 65536",
        "portsentry_fenced_sources{family=\"ipv4\"} 9",
        "portsentry_fenced_sources_max{family=\"ipv4\"} 1024",
        "portsentry_ring_size_bytes 4194304",
        "portsentry_bound_ports_by_hooks 1",
        "portsentry_interface_attached{interface=\"eth0\"} 1",
        "portsentry_interface_outgoing{interface=\"eth0\"} 0",
        "portsentry_lost_lines_total{output=\"json\"} 4",
        "portsentry_actions_total{action=\"kill_route\",result=\"refused\"} 2",
        "portsentry_actions_total{action=\"kill_route\",result=\"done\"} 1",
        "portsentry_actions_total{action=\"kill_hosts_deny\",result=\"done\"} 5",
        "portsentry_lifted_sources_total 6",
        "portsentry_released_sources_total{cause=\"over\"} 2",
        "portsentry_admitted_sources_total{cause=\"trap\"} 5",
        "portsentry_admitted_sources_by_country_total{country=\"DE\"} 1",
        "portsentry_left_out_probes_total 11",
        "portsentry_share_connected 1",
        "portsentry_share_servers 3",
        "portsentry_share_servers_connected 2",
        "portsentry_share_waiting_words 18",
        "portsentry_share_certificate_expiry_timestamp_seconds 2.0",
        "portsentry_peer_blocks{gateway=\"gw2\"} 17",
        "portsentry_peer_sources{gateway=\"gw2\"} 6",
        "portsentry_peer_held{gateway=\"gw2\"} 0",
        "portsentry_peer_clock_offset_seconds{gateway=\"gw2\"} -2.5",
        "portsentry_peer_last_heard_timestamp_seconds{gateway=\"gw2\"} 1.5",
        "portsentry_peer_words_total{gateway=\"gw2\"} 12",
        "portsentry_peer_refused_words_total{gateway=\"gw2\",reason=\"rate\"} 13",
        "portsentry_healthy 1",
        "portsentry_config_last_reload_successful 1",
        concat!("portsentry_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
}

#[test]
fn the_text_is_openmetrics() {
    let text = rendered();
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert_eq!(text.matches("# EOF").count(), 1);
    for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
        let words: Vec<_> = line.split(' ').collect();
        let [_, _, name, r#type] = words[..] else { panic!("{line}") };
        assert!(["counter", "gauge", "info"].contains(&r#type), "{line}");
        let sample = match r#type {
            "counter" => format!("{name}_total"),
            "info" => format!("{name}_info"),
            _ => name.to_owned(),
        };
        // A metric without any count has no sample.
        assert!(names(&text).contains(sample.as_str()), "{line}");
    }
    assert_eq!(text.lines().filter(|line| line.starts_with("# TYPE")).count(), names(&text).len());
}

#[test]
fn a_daemon_that_has_not_begun_has_figures_too() {
    let text = render(&Stats::default().copy(), Instant::now());
    assert!(text.contains("\nportsentry_healthy 0\n") && text.ends_with("# EOF\n"), "{text}");
}

#[test]
fn the_document_has_every_metric_and_no_other() {
    let rows = DOCUMENT.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: BTreeSet<&str> = rows.filter_map(|row| row.split(['`', '{']).next()).collect();
    assert_eq!(documented, names(&rendered()));
    for (sample, _) in samples(&rendered()) {
        let labels = sample.split_once('{').map_or("", |(_, labels)| labels.trim_end_matches('}'));
        for label in
            labels.split(',').filter_map(|label| label.split('=').next()).filter(|label| !label.is_empty())
        {
            assert!(DOCUMENT.contains(&format!("`{label}`")), "{label} of {sample}");
        }
    }
}

/// Returns all texts with that name, at any depth.
fn texts<'a>(name: &str, value: &'a serde_json::Value, found: &mut Vec<&'a str>) {
    match value {
        serde_json::Value::Object(object) => {
            for (key, value) in object {
                if key == name {
                    found.extend(value.as_str());
                }
                texts(name, value, found);
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| texts(name, value, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let (mut asked, text) = (Vec::new(), rendered());
    texts("expr", &dashboard, &mut asked);
    let there = names(&text);
    assert!(asked.len() > 10, "{asked:?}");
    for expression in asked {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let words = expression.split(|c| !is_part(c));
        let metrics: Vec<_> =
            words.filter(|word| word.starts_with("portsentry_") || word.starts_with("process_")).collect();
        // Prometheus itself adds `up`.
        assert!(!metrics.is_empty() || expression.starts_with("up{"), "{expression}");
        for metric in metrics {
            assert!(there.contains(metric), "{metric} in {expression}");
        }
    }
    let mut titles = Vec::new();
    texts("title", &dashboard, &mut titles);
    assert!(titles.iter().all(|title| !title.is_empty()));
}
