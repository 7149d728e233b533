//! `portsentry status`: prints whether enforcement is attached, the daemon's process, and the counters.

mod bound;
pub(super) mod fence;
mod gaps;

use std::fmt::Write;

use nix::net::if_::if_indextoname;
use portsentry_common::{
    counter::{COUNTERS, Counters},
    settings::FencedSyns,
};
use serde::{Serialize, Serializer};

use self::{bound::BoundPorts, gaps::Gaps};
use super::{observed, options, show};
use crate::{
    cli::{Cli, Status},
    config::Config,
    control::Unwatched,
    exit::Exit,
    kernel::{self, Fill, Observer, Ports},
    modes::Modes,
    policy::State,
    sanitize::sanitize,
};

/// The report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Report {
    /// Whether PortSentry's kernel program is attached to an interface.
    is_attached: bool,
    interfaces: Vec<Interface>,
    /// The running daemon's process.
    daemon: Option<i32>,
    #[serde(flatten)]
    gaps: Gaps,
    /// `None` if no maps are pinned.
    maps: Option<Maps>,
}

/// An interface for which a link is pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Interface {
    index: u32,
    /// `None` if no interface has this index: it is gone, or is in another network namespace.
    name: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Maps {
    blocked: Fill,
    fenced: Fill,
    /// Blocked networks.
    networks: usize,
    ports: Ports,
    bound_ports: BoundPorts,
    /// The kind of answer to fenced sources' SYNs.
    #[serde(serialize_with = "fence::name")]
    fenced_syns: FencedSyns,
    /// In bytes.
    ring: u32,
    /// Of all maps, in bytes.
    memory: u64,
    /// Seconds since the daemon's last heartbeat.
    silence: Option<u64>,
    /// Seconds without a heartbeat after which no packet is dropped (`OPEN_AFTER`), or 0 for never.
    open_after: u64,
    #[serde(serialize_with = "by_name")]
    counters: Counters,
}

/// Prints the state. The exit code shows whether enforcement is attached.
pub(super) fn run(cli: &Cli, status: Status) -> Exit {
    let read = || {
        let config = options::config(cli);
        let observer = observed::observer(&config)?;
        let report =
            read(observer.as_ref(), &config, cli.modes()).map_err(|error| observed::failure(&error))?;
        Ok((report, config.pin_path))
    };
    let (report, pins) = match read() {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    let text =
        if status.json { observed::json(&report) } else { render(&report, &pins.display().to_string()) };
    match show::print(&text) {
        Exit::Success if !report.is_attached => Exit::Failure,
        exit => exit,
    }
}

fn read(observer: Option<&Observer>, config: &Config, modes: Modes) -> Result<Report, kernel::Error> {
    let Some(observer) = observer else {
        return Ok(Report {
            is_attached: false,
            interfaces: Vec::new(),
            daemon: None,
            gaps: Gaps::default(),
            maps: None,
        });
    };
    let name = |index| if_indextoname(index).ok().map(|name| name.to_string_lossy().into_owned());
    let interfaces: Vec<_> =
        observer.links().into_iter().map(|index| Interface { index, name: name(index) }).collect();
    let daemon = observer.daemon();
    Ok(Report {
        is_attached: interfaces.iter().any(|interface| interface.name.is_some()),
        interfaces,
        daemon,
        gaps: Gaps::read(config, modes, observer),
        maps: Some(Maps {
            blocked: observer.fill(State::Blocked)?,
            fenced: observer.fill(State::Fenced)?,
            networks: observer.networks()?.len(),
            ports: observer.ports()?,
            bound_ports: BoundPorts::new(observer.bound()?, daemon.is_some()),
            fenced_syns: fence::fenced_syns(config, observer),
            ring: observer.ring_size()?,
            memory: observer.memory()?,
            silence: observer.silence()?.map(|silence| silence.as_secs()),
            open_after: config.open_after.as_secs(),
            counters: observer.counters()?,
        }),
    })
}

fn render(report: &Report, pins: &str) -> String {
    let mut text = String::new();
    let mut say = |what: &str, it: String| {
        // Writing to a string never fails.
        let _ = writeln!(text, "{what:<12} {it}");
    };
    say("enforcement", enforcement(report));
    if let Some(mode) = &report.gaps.mode {
        say("mode", format!("{}: {}", mode.words, mode.change));
    }
    if report.maps.as_ref().is_some_and(|maps| maps.ports == Ports::default()) {
        say("ports", "none is watched: no probe can be detected".into());
    }
    for Unwatched { interface, reason } in &report.gaps.not_watched {
        say("not watched", sanitize(&format!("{interface}: {reason}")).into_owned());
    }
    for Unwatched { interface, reason } in &report.gaps.left_out {
        say("left out", sanitize(&format!("{interface}: {reason}")).into_owned());
    }
    if let Some(trouble) = &report.gaps.scope {
        say("addresses", trouble.clone());
    }
    say(
        "daemon",
        match (report.daemon, report.is_attached) {
            (Some(process), _) => format!("running, process {process}"),
            (None, true) => dead(report.maps.as_ref()),
            (None, false) => "not running".into(),
        },
    );
    let Some(maps) = &report.maps else {
        say("maps", format!("none in {pins}"));
        return text;
    };
    say("maps", pins.into());
    for (what, Fill { ipv4, ipv6, capacity }) in [("blocked", maps.blocked), ("fenced", maps.fenced)] {
        say(what, format!("{ipv4} of {capacity} IPv4, {ipv6} of {capacity} IPv6"));
    }
    if maps.networks > 0 {
        say("networks", format!("{} blocked", maps.networks));
    }
    say("bound ports", maps.bound_ports.to_string());
    say("fence", kernel::describe_fence(maps.fenced_syns).into());
    say("ring", format!("{} KiB", maps.ring / 1024));
    say("memory", format!("{} MiB in all maps", maps.memory.div_ceil(1 << 20)));
    text.push_str("\nCounted since the maps were made:\n");
    let counted: Vec<_> =
        COUNTERS.iter().map(|(counter, _, meaning)| (maps.counters.get(*counter), meaning.trim())).collect();
    for (count, meaning) in counted.iter().filter(|(count, _)| *count != 0) {
        let _ = writeln!(text, "{count:>12}  {}", meaning.trim_end_matches('.'));
    }
    if counted.iter().all(|(count, _)| *count == 0) {
        text.push_str("             nothing yet\n");
    }
    text
}

/// Describes the kernel program's behaviour without a daemon.
fn dead(maps: Option<&Maps>) -> String {
    match maps.map(|maps| (maps.open_after, maps.silence)) {
        Some((open_after @ 1.., Some(silence))) if silence >= open_after => {
            format!("not running for {silence} seconds; nothing is dropped any more (OPEN_AFTER)")
        }
        Some((open_after @ 1.., Some(silence))) => {
            let left = open_after - silence;
            format!("not running; the kernel program continues for {left} seconds (OPEN_AFTER)")
        }
        _ => "not running; the kernel program continues, but files and log are not updated".into(),
    }
}

fn enforcement(report: &Report) -> String {
    let names: Vec<_> = report.interfaces.iter().filter_map(|found| found.name.as_deref()).collect();
    let lost: Vec<_> = report.interfaces.iter().filter(|found| found.name.is_none()).collect();
    let mut said = if names.is_empty() {
        "attached to no interface".into()
    } else {
        format!("attached to {}", names.join(", "))
    };
    for Interface { index, .. } in lost {
        let _ = write!(said, "; interface number {index} is gone, or in another network namespace");
    }
    said
}

fn by_name<S: Serializer>(counters: &Counters, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(COUNTERS.iter().map(|(counter, name, _)| (name, counters.get(*counter))))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytemuck::Zeroable;

    use super::*;
    use crate::{kernel::BoundState, modes::Mode, policy::Enforcement};

    const DUMPED: BoundState = BoundState { by_hooks: true, dump_age: Some(Duration::from_secs(1)) };

    fn report() -> Report {
        let interface = |index, name: Option<&str>| Interface { index, name: name.map(str::to_owned) };
        Report {
            is_attached: true,
            interfaces: vec![interface(2, Some("eth0")), interface(9, None)],
            daemon: Some(4711),
            gaps: Gaps::default(),
            maps: Some(Maps {
                blocked: Fill { ipv4: 3, ipv6: 1, capacity: 65536 },
                fenced: Fill { ipv4: 0, ipv6: 2, capacity: 1024 },
                networks: 2,
                ports: Ports { tcp: 3, udp: 0 },
                bound_ports: BoundPorts::new(DUMPED, true),
                fenced_syns: FencedSyns::Accept,
                ring: 4 << 20,
                memory: 60 << 20,
                silence: Some(3),
                open_after: 0,
                counters: Counters { probes: 12, dropped: 345, ..Counters::zeroed() },
            }),
        }
    }

    #[test]
    fn people_read_what_has_happened() {
        let pins = "/sys/fs/bpf/portsentry";
        assert_eq!(
            render(&report(), pins),
            "enforcement  attached to eth0; interface number 9 is gone, or in another network namespace\n\
             daemon       running, process 4711\n\
             maps         /sys/fs/bpf/portsentry\n\
             blocked      3 of 65536 IPv4, 1 of 65536 IPv6\n\
             fenced       0 of 1024 IPv4, 2 of 1024 IPv6\n\
             networks     2 blocked\n\
             bound ports  known by bind hooks and dumps; last dump 1 s ago\n\
             fence        open: PortSentry answers for every port\n\
             ring         4096 KiB\n\
             memory       60 MiB in all maps\n\n\
             Counted since the maps were made:\n          \
             12  Probes of any kind to a watched port, whatever the verdict\n         \
             345  Packets dropped because their source is blocked\n"
        );
        let dead = render(&Report { daemon: None, ..report() }, pins);
        assert!(dead.contains("not running; the kernel program continues"), "{dead}");
        let opening = |open_after| {
            let maps = report().maps.map(|maps| Maps { open_after, ..maps });
            render(&Report { daemon: None, maps, ..report() }, pins)
        };
        assert!(
            opening(5).contains("the kernel program continues for 2 seconds (OPEN_AFTER)"),
            "{}",
            opening(5)
        );
        assert!(
            opening(3).contains("not running for 3 seconds; nothing is dropped any more"),
            "{}",
            opening(3)
        );
        let nothing = Report {
            is_attached: false,
            interfaces: Vec::new(),
            daemon: None,
            gaps: Gaps::default(),
            maps: None,
        };
        assert_eq!(
            render(&nothing, pins),
            "enforcement  attached to no interface\ndaemon       not running\n\
             maps         none in /sys/fs/bpf/portsentry\n"
        );
    }

    #[test]
    fn what_is_not_watched_is_told() {
        let unwatched =
            |interface: &str, reason: &str| Unwatched { interface: interface.into(), reason: reason.into() };
        let gaps = Gaps {
            mode: Some(Enforcement::new(&Config::default(), [Mode::Stcp].into_iter().collect()).into()),
            not_watched: vec![unwatched("eth1", "it is not there")],
            left_out: vec![unwatched("eno1", "a member of bond0, which is watched")],
            scope: Some("map LOCAL_V4: too many".into()),
        };
        let maps = report().maps.map(|maps| Maps { ports: Ports { tcp: 0, udp: 0 }, ..maps });
        let said = render(&Report { gaps, maps, ..report() }, "/sys/fs/bpf/portsentry");
        for line in [
            "mode         observing (nothing is blocked): BLOCK_TCP=\"1\" and BLOCK_UDP=\"1\" in portsentry.conf, \
             then `portsentry reload`, fence and block",
            "not watched  eth1: it is not there",
            "left out     eno1: a member of bond0, which is watched",
            "addresses    map LOCAL_V4: too many",
            "ports        none is watched: no probe can be detected",
        ] {
            assert!(said.lines().any(|it| it == line), "{line}\n{said}");
        }
        assert!(!render(&report(), "").lines().any(|it| it.starts_with("ports")));
    }

    #[test]
    fn programs_read_every_counter() {
        let value: serde_json::Value = serde_json::from_str(&observed::json(&report())).unwrap();
        assert_eq!(value["maps"]["counters"]["dropped"], 345);
        assert_eq!(value["maps"]["counters"].as_object().unwrap().len(), COUNTERS.len());
        assert_eq!(value["maps"]["blocked"], serde_json::json!({"ipv4": 3, "ipv6": 1, "capacity": 65536}));
        let bound = serde_json::json!({"by_hooks": true, "dump_age": 1, "is_overdue": false});
        assert_eq!(value["maps"]["bound_ports"], bound);
        assert_eq!(value["interfaces"][0], serde_json::json!({"index": 2, "name": "eth0"}));
        assert_eq!((&value["is_attached"], &value["daemon"]), (&true.into(), &4711.into()));
    }
}
