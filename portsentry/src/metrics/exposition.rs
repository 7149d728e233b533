//! The stats as text for Prometheus (version 1.0 of `OpenMetrics`). Metrics are defined only here, and a test
//! compares `docs/metrics.md` with them.

mod fleet;
mod labels;
mod lists;

use std::{
    sync::atomic::AtomicU64,
    time::{Duration, Instant, SystemTime},
};

use portsentry_common::counter::{COUNTERS, Counter};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter as Count, gauge::Gauge, info::Info},
    registry::{Registry, Unit},
};

use self::labels::{Counts, escaped};
use super::{
    families::{Gauges, Seconds, seconds},
    process, scans,
    stats::{Snapshot, State},
};
use crate::policy::{ScanKind, enforcement::STRENGTHS};

/// A metric family for some of the kernel's counters: its name, its label, its help.
type Shown = (&'static str, &'static str, &'static str);

const PROBES: Shown = ("probes", "kind", "Probes of watched ports, whatever the verdict");
const DROPPED: Shown = ("dropped_packets", "reason", "Packets that the kernel program dropped");
const EXPLAINED: Shown =
    ("explained_packets", "reason", "Packets to watched ports that don't count as probes, by reason");
const ENTERED: Shown = ("entered_sources", "state", "Sources that the kernel program has blocked or fenced");
const REFUSED: Shown =
    ("refused_sources", "reason", "Sources that the kernel program could not block or fence");
const PASSED: Shown = ("passed_packets", "reason", "Packets that passed although their source is fenced");
const CHALLENGES: Shown = ("challenges", "result", "SYNs answered with a cookie, and the results");
const EVENTS: Shown = ("events", "result", "Probes reported to the daemon, or the reason why not");
const MALFORMED: Shown =
    ("malformed_packets", "header", "Malformed packets, which pass unless their source is blocked or fenced");
const ANSWERS: Shown =
    ("answers", "result", "What forwarded answers showed, and what followed from them (ANSWERS)");
const CONTACTS: Shown = (
    "scan_contacts",
    "result",
    "Failed first contacts of sources, and those forgotten because SCAN_MEMORY was full (SCAN_DETECTION)",
);
const SCANNERS: Shown =
    ("scan_verdicts", "verdict", "Sources reported and fenced for their failed first contacts");
const STEERED: Shown = ("steered_packets", "to", "SYNs and datagrams handed to the daemon's own sockets");

const FAMILIES: [Shown; 13] = [
    PROBES, DROPPED, EXPLAINED, ENTERED, REFUSED, PASSED, CHALLENGES, EVENTS, MALFORMED, STEERED, ANSWERS,
    CONTACTS, SCANNERS,
];

/// Returns the family that shows a counter, and the label's value. The sum of all probes isn't shown, because
/// Prometheus adds.
const fn shown(counter: Counter) -> Option<(Shown, &'static str)> {
    Some(match counter {
        Counter::Probes => return None,
        Counter::Syn => (PROBES, "syn"),
        Counter::Fin => (PROBES, "fin"),
        Counter::Null => (PROBES, "null"),
        Counter::Xmas => (PROBES, "xmas"),
        Counter::Unknown => (PROBES, "unknown"),
        Counter::Maimon => (PROBES, "maimon"),
        Counter::Ack => (PROBES, "ack"),
        Counter::Fragment => (PROBES, "fragment"),
        Counter::Udp => (PROBES, "udp"),
        Counter::Chain => (PROBES, "chain"),
        Counter::Dropped => (DROPPED, "blocked"),
        Counter::DroppedProbes => (DROPPED, "probe"),
        Counter::DroppedFenced => (DROPPED, "fenced"),
        Counter::Served => (EXPLAINED, "served"),
        Counter::Ignored => (EXPLAINED, "ignored"),
        Counter::Implausible => (EXPLAINED, "implausible"),
        Counter::Blocked => (ENTERED, "blocked"),
        Counter::Fenced => (ENTERED, "fenced"),
        Counter::BlockedFull => (REFUSED, "blocked_full"),
        Counter::OverFences => (REFUSED, "fence_rate"),
        Counter::PassedFenced => (PASSED, "fenced"),
        Counter::Answered => (CHALLENGES, "answered"),
        Counter::OverSyns => (CHALLENGES, "over_rate"),
        Counter::Proven => (CHALLENGES, "proven"),
        Counter::Unproven => (CHALLENGES, "unproven"),
        Counter::LearnedServed => (ANSWERS, "served"),
        Counter::LearnedRefused => (ANSWERS, "refused"),
        Counter::FailedConnections => (ANSWERS, "failed"),
        Counter::OverFailures => (ANSWERS, "over_failures"),
        Counter::Withheld => (ANSWERS, "withheld"),
        Counter::FailedContacts => (CONTACTS, "failed"),
        Counter::ScanNoRoom => (CONTACTS, "no_room"),
        Counter::ScanReports => (SCANNERS, "reported"),
        Counter::ScanFences => (SCANNERS, "fenced"),
        Counter::Steered => (STEERED, "trap"),
        Counter::Reported => (EVENTS, "reported"),
        Counter::Repeated => (EVENTS, "repeated"),
        Counter::OverRate => (EVENTS, "over_rate"),
        Counter::RingFull => (EVENTS, "ring_full"),
        Counter::MalformedLink => (MALFORMED, "link"),
        Counter::MalformedIpv4 => (MALFORMED, "ipv4"),
        Counter::MalformedIpv6 => (MALFORMED, "ipv6"),
        Counter::MalformedExtensions => (MALFORMED, "extensions"),
        Counter::MalformedTcp => (MALFORMED, "tcp"),
        Counter::MalformedUdp => (MALFORMED, "udp"),
    })
}

/// Returns all metrics as text.
pub fn render(state: &State, now: Instant) -> String {
    let mut registry = Registry::with_prefix("portsentry");
    daemon(&mut registry, state, now);
    if let Some((_, snapshot)) = &state.snapshot {
        kernel(&mut registry, snapshot);
        held(&mut registry, snapshot);
        bound(&mut registry, snapshot, silence(state, now));
        if let Some(state) = &snapshot.scans {
            scans::register(&mut registry, state);
        }
        fleet::fleet(&mut registry, snapshot);
        lists::lists(&mut registry, snapshot);
    }
    let mut process = Registry::default();
    of_process(&mut process);
    let mut text = String::new();
    // Writing to a string never fails. Each of the two texts has an end mark, so the first's is removed.
    let _ = encode(&mut text, &registry);
    text.truncate(text.strip_suffix(END).unwrap_or(&text).len());
    let _ = encode(&mut text, &process);
    text
}

const END: &str = "# EOF\n";

fn kernel(registry: &mut Registry, snapshot: &Snapshot) {
    for (name, label, help) in FAMILIES {
        let family = Counts::default();
        for (counter, _, _) in COUNTERS {
            if let Some(((of, ..), value)) = shown(*counter)
                && of == name
            {
                family.get_or_create(&vec![(label, value.into())]).inc_by(snapshot.counters.get(*counter));
            }
        }
        registry.register(name, help, family);
    }
}

fn held(registry: &mut Registry, snapshot: &Snapshot) {
    let Snapshot { census, max_blocked, max_fenced, .. } = snapshot;
    let most = |most: u32| [most as usize; 2];
    for (name, help, [ipv4, ipv6]) in [
        ("blocked_sources", "Sources that are blocked now", census.blocked),
        ("blocked_sources_max", "Capacity of the blocked map (MAX_BLOCKED)", most(*max_blocked)),
        ("fenced_sources", "Sources that are fenced now", census.fenced),
        ("fenced_sources_max", "Capacity of the fenced map (MAX_FENCED)", most(*max_fenced)),
    ] {
        let family = Gauges::default();
        for (value, count) in [("ipv4", ipv4), ("ipv6", ipv6)] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            family.get_or_create(&vec![("family", value.into())]).set(count);
        }
        registry.register(name, help, family);
    }
    let attached = Gauges::default();
    for (interfaces, is_attached) in [(&snapshot.refused, 0_i64), (&snapshot.attached, 1)] {
        for interface in interfaces {
            attached.get_or_create(&vec![("interface", escaped(interface))]).set(is_attached);
        }
    }
    registry.register(
        "interface_attached",
        "1 for each interface that the kernel program is attached to, 0 for one that should be watched and \
            is not",
        attached,
    );
    let outgoing = Gauges::default();
    for interface in &snapshot.attached {
        let is_seen = !snapshot.unseen.contains(interface);
        outgoing.get_or_create(&vec![("interface", escaped(interface))]).set(is_seen.into());
    }
    registry.register(
        "interface_outgoing",
        "1 for each watched interface whose outgoing packets are seen, 0 for one where they are not",
        outgoing,
    );
    let scope: Gauge = Gauge::default();
    scope.set(snapshot.scope_trouble.is_none().into());
    registry.register(
        "scope_complete",
        "1 if all own, ignored and watched networks are in effect (MAX_ADDRESSES)",
        scope,
    );
    let mode = Gauges::default();
    for strength in STRENGTHS {
        let is_it = snapshot.strength == Some(strength);
        mode.get_or_create(&vec![("mode", strength.name().into())]).set(is_it.into());
    }
    registry.register("mode", "1 for the current mode of enforcement; observing blocks nothing", mode);
    let ring: Gauge = Gauge::default();
    ring.set(snapshot.ring_size.into());
    registry.register_with_unit(
        "ring_size",
        "Size of the ring that carries reported probes",
        Unit::Bytes,
        ring,
    );
    let lost = Counts::default();
    for (output, count) in &snapshot.lost {
        lost.get_or_create(&vec![("output", (*output).into())]).inc_by(*count);
    }
    registry.register("lost_lines", "Log lines and JSON events that could not be written", lost);
}

/// Adds the state of the table of bound ports, read `silence` ago.
fn bound(registry: &mut Registry, snapshot: &Snapshot, silence: Duration) {
    let hooks: Gauge = Gauge::default();
    hooks.set(snapshot.bound_by_hooks.into());
    registry.register(
        "bound_ports_by_hooks",
        "1 if bound ports are found by bind hooks and dumps of the sockets, 0 if by dumps only",
        hooks,
    );
    if let Some(age) = snapshot.dump_age {
        let help = "Age of the last dump of the sockets";
        registry.register_with_unit("bound_ports_dump_age", help, Unit::Seconds, seconds(age + silence));
    }
}

/// Returns the time since the keeper's last update.
fn silence(state: &State, now: Instant) -> Duration {
    state.snapshot.as_ref().map_or(Duration::ZERO, |(at, _)| now.saturating_duration_since(*at))
}

fn daemon(registry: &mut Registry, state: &State, now: Instant) {
    registry.register("build", "The program", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
    registry.register_with_unit(
        "start_time",
        "Start time of the daemon since the Unix epoch",
        Unit::Seconds,
        at(state.started),
    );
    let healthy: Gauge = Gauge::default();
    healthy.set(state.trouble(now).is_none().into());
    registry.register("healthy", "1 if /healthz reports healthy", healthy);
    let help = "Age of the kernel's counters and the numbers of sources";
    registry.register_with_unit("keeper_age", help, Unit::Seconds, seconds(silence(state, now)));
    let successful: Gauge = Gauge::default();
    successful.set(state.reload.0.into());
    registry.register(
        "config_last_reload_successful",
        "1 if the configuration was valid when last read",
        successful,
    );
    let help = "Time of the last valid configuration since the Unix epoch";
    registry.register_with_unit(
        "config_last_reload_success_timestamp",
        help,
        Unit::Seconds,
        at(state.reload.1),
    );
    let actions = Counts::default();
    for ((action, result), count) in &state.actions {
        let labels = vec![("action", action.to_lowercase()), ("result", (*result).into())];
        actions.get_or_create(&labels).inc_by(*count);
    }
    registry.register("actions", "KILL actions, by result", actions);
    for (name, help, by_cause) in [
        ("admitted_sources", "Sources and networks blocked or fenced, by cause", &state.admitted),
        ("released_sources", "Sources and networks released, by cause", &state.released),
    ] {
        let family = Counts::default();
        for (cause, count) in by_cause {
            family.get_or_create(&vec![("cause", (*cause).into())]).inc_by(*count);
        }
        registry.register(name, help, family);
    }
    let scans = Counts::default();
    for (kind, is_fence) in ScanKind::ALL.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
        let action = if is_fence { "fenced" } else { "reported" };
        let labels = vec![("kind", kind.name().into()), ("action", action.into())];
        let count = state.scans.get(&(kind, is_fence)).copied().unwrap_or_default();
        scans.get_or_create(&labels).inc_by(count);
    }
    registry.register("scans", "Scans that avoid traps (SCAN_DETECTION), by kind and action", scans);
    if !state.countries.is_empty() {
        let family = Counts::default();
        for (country, count) in &state.countries {
            family.get_or_create(&vec![("country", country.clone())]).inc_by(*count);
        }
        let help = "Sources blocked or fenced, by country (GEOIP_COUNTRY)";
        registry.register("admitted_sources_by_country", help, family);
    }
    for (name, help, count) in [
        ("lifted_sources", "Sources unblocked, expired or otherwise released", state.released.values().sum()),
        ("left_out_probes", "Probes not logged because the log was behind", state.left_out),
    ] {
        let counter: Count = Count::default();
        counter.inc_by(count);
        registry.register(name, help, counter);
    }
}

fn of_process(registry: &mut Registry) {
    let cpu: Count<f64, AtomicU64> = Count::default();
    cpu.inc_by(process::cpu_seconds());
    registry.register_with_unit("process_cpu", "CPU time", Unit::Seconds, cpu);
    let gauge = |value: u64| -> Gauge {
        let gauge = Gauge::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        gauge
    };
    let resident = gauge(process::resident_bytes());
    registry.register_with_unit("process_resident_memory", "Memory in use", Unit::Bytes, resident);
    registry.register("process_open_fds", "Open file descriptors", gauge(process::open_fds()));
}

fn at(time: SystemTime) -> Seconds {
    seconds(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests;
