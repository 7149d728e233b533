//! `portsentry status`: prints whether enforcement is attached, the daemon's process, and the counters.

use std::{fmt::Write, time::Duration};

use portsentry_common::counter::COUNTERS;
use serde::Deserialize;

use super::{fleet, looked, observed, options, show};
use crate::{
    cli::{Cli, Status},
    config::Config,
    control::{Request, Unwatched, client},
    exit::Exit,
    inspect::{
        gaps::Gaps,
        report::{Interface, Maps, Report},
    },
    kernel::{self, Fill, Outgoing, Ports},
    modes::Modes,
    policy::Enforcement,
    sanitize::sanitize,
};

/// Maximum time for the daemon's answer. A hanging daemon must not prevent the report.
const PATIENCE: Duration = Duration::from_secs(2);

/// The daemon's answer to a user who may not read the maps.
#[derive(Deserialize)]
struct Told {
    report: Report,
}

/// Prints the state. The exit code shows whether enforcement is attached.
pub(super) fn run(cli: &Cli, status: Status) -> Exit {
    let config = options::config(cli);
    let read = || {
        let report = Report::read(&config)?;
        let gaps = if report.maps.is_some() { gaps(&config, cli.modes(), &report) } else { Gaps::default() };
        Ok(Told { report: Report { gaps, ..report } })
    };
    let Told { report } = match looked::look(&config, read, &Request::Status { report: true }) {
        Ok(told) => told,
        Err(exit) => return exit,
    };
    let pins = config.pin_path.display().to_string();
    let text = if status.json {
        observed::json(&report)
    } else {
        let fleet = fleet::ask(&config).filter(|_| report.daemon.is_some());
        let line = fleet.map(|fleet| format!("{:<12} {}\n", "fleet", fleet::summary(&fleet)));
        render(&report, &pins) + &line.unwrap_or_default()
    };
    match show::print(&text) {
        Exit::Success if !report.is_attached => Exit::Failure,
        exit => exit,
    }
}

/// Asks the running daemon. Without an answer, judges by the list of interfaces.
fn gaps(config: &Config, modes: Modes, report: &Report) -> Gaps {
    let asked = config.control_socket.as_deref().filter(|_| report.daemon.is_some());
    let request = Request::Status { report: false };
    let answer = asked.and_then(|socket| client::ask_within(socket, &request, PATIENCE)?.ok());
    let told = answer.and_then(|answer| serde_json::from_value(answer).ok());
    let seen = || {
        let pinned: Vec<u32> = report.interfaces.iter().map(|interface| interface.index).collect();
        Gaps::seen(config, &pinned)
    };
    let mut gaps: Gaps = told.unwrap_or_else(seen);
    // The daemon of an earlier version doesn't report it.
    gaps.mode.get_or_insert_with(|| Enforcement::new(config, modes).into());
    gaps
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
    if let Some(answers) = &maps.answers {
        say("answers", answers.clone());
    }
    if let Some(scans) = &maps.scans {
        say("scans", scans.detection.clone());
        if let Some(memory) = &scans.memory {
            say("suspects", memory.sources_shown());
            say("memory horizon", memory.horizon_shown());
        }
    }
    let outgoing = outgoing(report);
    if !outgoing.is_empty() {
        say("outgoing", sanitize(&outgoing).into_owned());
    }
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

/// Describes where outgoing packets are seen.
fn outgoing(report: &Report) -> String {
    let found = report.interfaces.iter().filter_map(|found| {
        let name = found.name.as_ref()?;
        let reason = report.gaps.unseen.iter().find(|unseen| unseen.interface == *name);
        Some(match (found.outgoing.as_ref()?, reason) {
            (Outgoing::Tcx { after: Some(after) }, _) if !after.is_empty() => {
                format!("seen on {name} by TCX, after {}", after.join(", "))
            }
            (Outgoing::Tcx { .. }, _) => format!("seen on {name} by TCX"),
            (Outgoing::Clsact, _) => format!("seen on {name} by clsact"),
            (Outgoing::Detached | Outgoing::No, Some(Unwatched { reason, .. })) => {
                format!("not seen on {name}: {reason}")
            }
            (Outgoing::Detached | Outgoing::No, None) => format!("not seen on {name}"),
        })
    });
    found.collect::<Vec<_>>().join("; ")
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

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable;
    use portsentry_common::{counter::Counters, settings::FencedSyns};

    use super::*;
    use crate::{
        inspect::{
            bound_ports::BoundPorts,
            scans::{Memory, Scans},
        },
        kernel::{BoundState, ScanCount},
        modes::Mode,
    };

    const DUMPED: BoundState = BoundState { by_hooks: true, dump_age: Some(Duration::from_secs(1)) };

    const COUNT: ScanCount = ScanCount { suspects: 3, suspects_max: 1024, probation: 7, probation_max: 4096 };

    fn report() -> Report {
        let interface = |index, name: Option<&str>| Interface {
            index,
            name: name.map(str::to_owned),
            outgoing: name.map(|_| Outgoing::Tcx { after: Some(vec!["shaper (ID 7)".into()]) }),
        };
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
                answers: Some("observe".into()),
                scans: Some(Scans {
                    detection: "report".into(),
                    memory: Some(Memory { horizon: 86_400, is_full: false, count: COUNT }),
                }),
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
             answers      observe\n\
             scans        report\n\
             suspects     3 of 1024, 7 of 4096 on probation\n\
             memory horizon 24 h\n\
             outgoing     seen on eth0 by TCX, after shaper (ID 7)\n\
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
            unseen: vec![unwatched("eth0", "it refuses")],
            mode: Some(Enforcement::new(&Config::default(), [Mode::Stcp].into_iter().collect()).into()),
            not_watched: vec![unwatched("eth1", "it is not there")],
            left_out: vec![unwatched("eno1", "a member of bond0, which is watched")],
            scope: Some("map LOCAL_V4: too many".into()),
        };
        let maps = report().maps.map(|maps| Maps { ports: Ports { tcp: 0, udp: 0 }, ..maps });
        let interfaces =
            vec![Interface { index: 2, name: Some("eth0".into()), outgoing: Some(Outgoing::No) }];
        let said = render(&Report { interfaces, gaps, maps, ..report() }, "/sys/fs/bpf/portsentry");
        for line in [
            "mode         observing (nothing is blocked): BLOCK_TCP=\"1\" and BLOCK_UDP=\"1\" in portsentry.conf, \
             then `portsentry reload`, fence and block",
            "not watched  eth1: it is not there",
            "left out     eno1: a member of bond0, which is watched",
            "outgoing     not seen on eth0: it refuses",
            "addresses    map LOCAL_V4: too many",
            "ports        none is watched: no probe can be detected",
        ] {
            assert!(said.lines().any(|it| it == line), "{line}\n{said}");
        }
        assert!(!render(&report(), "").lines().any(|it| it.starts_with("ports")));
    }

    #[test]
    fn programs_read_every_counter() {
        let read: Report = serde_json::from_str(&observed::json(&report())).unwrap();
        assert_eq!(read, report());
        let value: serde_json::Value = serde_json::from_str(&observed::json(&report())).unwrap();
        assert_eq!(value["maps"]["counters"]["dropped"], 345);
        assert_eq!(value["maps"]["counters"].as_object().unwrap().len(), COUNTERS.len());
        assert_eq!(value["maps"]["blocked"], serde_json::json!({"ipv4": 3, "ipv6": 1, "capacity": 65536}));
        let bound = serde_json::json!({"by_hooks": true, "dump_age": 1, "is_overdue": false});
        assert_eq!(value["maps"]["bound_ports"], bound);
        let after = serde_json::json!({"attached": "tcx", "after": ["shaper (ID 7)"]});
        let interface = serde_json::json!({"index": 2, "name": "eth0", "outgoing": after});
        assert_eq!(value["interfaces"][0], interface);
        assert_eq!((&value["is_attached"], &value["daemon"]), (&true.into(), &4711.into()));
    }
}
