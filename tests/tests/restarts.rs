//! Stops, crashes and restarts: the daemon loses no state, and no line is written twice or truncated.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use portsentry_tests::lab::{Daemon, FAMILIES, Family, Lab, Probe, Reach, by_way_of};

fn probe(lab: &Lab, source: IpAddr) -> Probe {
    let host = Family::of(source).host();
    Probe::tcp(&lab.scanner, source, SocketAddr::new(host, 11))
}

/// Waits for a suppressed probe. By then, the files name sources that were blocked only in the map.
fn wait_until_recorded(daemon: &Daemon<'_>, sources: &[IpAddr]) {
    let is_recorded = || {
        let denied = daemon.file("WRAPPER_HOSTS_DENY");
        sources.iter().all(|source| {
            denied.iter().any(|line| line.contains(&source.to_string()))
                && !daemon.file_about("BLOCKED_FILE", *source).is_empty()
        })
    };
    daemon.wait_until("every block is recorded", is_recorded);
}

/// Returns the time for which the daemon's threads and this one have waited for a processor (`schedstat` in
/// proc(5)): the machine's share of a delay.
fn queued(daemon: &Daemon<'_>) -> Duration {
    let threads = fs::read_dir(format!("/proc/{}/task", daemon.process())).expect("its threads");
    let threads = threads.flatten().map(|thread| thread.path()).chain(["/proc/thread-self".into()]);
    let stats = threads.filter_map(|thread| fs::read_to_string(thread.join("schedstat")).ok());
    let waited = stats.filter_map(|stat| stat.split_whitespace().nth(1)?.parse::<u64>().ok());
    Duration::from_nanos(waited.sum())
}

#[test]
fn both_files_follow_the_map_within_a_second() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp").start();
    let follow = |number: usize| {
        let source = lab.source(FAMILIES[number % 2]);
        let _probe = probe(&lab, source);
        daemon.wait_until("the kernel blocks it", || daemon.blocked().contains(&source));
        let (begin, queued) = (Instant::now(), queued(&daemon));
        daemon.wait_until("both files show it", || {
            ["BLOCKED_FILE", "WRAPPER_HOSTS_DENY"]
                .iter()
                .all(|file| !daemon.file_about(file, source).is_empty())
        });
        begin.elapsed().saturating_sub(self::queued(&daemon).saturating_sub(queued))
    };
    let mut delays: Vec<_> = (0..10).map(follow).collect();
    delays.sort_unstable();
    assert!(delays[5] < Duration::from_secs(1), "{delays:?}");
}

#[test]
fn a_killed_daemon_forgets_nobody_and_doubles_nothing() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let setup = lab.portsentry("-stcp");
    let mut sources = Vec::new();
    for round in 0..6 {
        let daemon = setup.start();
        let mut probes = Vec::new();
        for number in 0..8 {
            let source = lab.source(FAMILIES[number % 2]);
            sources.push(source);
            probes.push(probe(&lab, source));
            // Kills each round's daemon at a different moment.
            if number == round {
                daemon.wait_for_block(sources[sources.len() - 1 - number]);
            }
        }
        daemon.kill();
        assert!(lab.is_attached(), "the kernel program outlives the daemon");
        // A source that probes while no daemon runs is blocked, too.
        let source = lab.source(Family::V4);
        sources.push(source);
        let _probe = probe(&lab, source);
        assert!(!service.answers(&lab.scanner, source, Reach::Unexpected));
    }
    service.assert_open_to_bystander(&lab);
    let daemon = setup.start();
    wait_until_recorded(&daemon, &sources);
    daemon.assert_holds_once(&sources);
    // The content of the disk at the start determines the result.
    daemon.terminate();
    let daemon = setup.start();
    daemon.assert_holds_once(&sources);
}

#[test]
fn a_block_lasts_while_the_daemon_is_dead() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let sources = FAMILIES.map(|family| lab.source(family));
    for source in sources {
        assert!(service.answers(&lab.scanner, source, Reach::Expected));
        lab.nmap(source, "-sS -p 11");
        daemon.wait_for_block(source);
    }
    daemon.kill();
    for source in sources {
        assert!(!service.answers(&lab.scanner, source, Reach::Unexpected), "{source} gets through");
    }
    service.assert_open_to_bystander(&lab);
    let daemon = setup.start();
    assert!(
        daemon.log().lines().iter().any(|line| line.contains("replaced the program of an earlier run")),
        "{:#?}",
        daemon.log().lines()
    );
    daemon.assert_holds_once(&sources);
    assert!(daemon.counter("dropped") >= 2, "what was dropped meanwhile is counted");
}

#[test]
fn twenty_restarts_and_kills_let_nothing_pass_and_lose_nothing() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").with("ON_STOP", "keep");
    let mut daemon = setup.start();
    let sources = FAMILIES.map(|family| lab.source(family));
    for source in sources {
        lab.nmap(source, "-sS -p 11");
        daemon.wait_for_block(source);
    }
    let blocked = sources.map(|source| lab.keep_sending(source));
    let honest = FAMILIES.map(|family| lab.keep_sending(lab.source(family)));
    for round in 0..20 {
        if round % 2 == 0 {
            daemon.terminate()
        } else {
            daemon.kill()
        };
        daemon = setup.start();
    }
    for stream in blocked {
        let (sent, answered) = stream.end();
        assert!(sent > 500 && answered == 0, "{answered} of {sent} packets of a blocked source got through");
    }
    for stream in honest {
        let (sent, answered) = stream.end();
        assert!(answered > 500 && sent - answered <= 1, "of {sent} honest packets {answered} were answered");
    }
    daemon.assert_holds_once(&sources);
}

#[test]
fn a_stopped_daemon_has_written_everything_and_detached() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let daemon = lab.portsentry("-stcp").start();
    let setup = daemon.setup().clone();
    let sources: Vec<_> = (0..10).map(|_| lab.source(Family::V4)).collect();
    let _probes: Vec<_> = sources.iter().map(|source| probe(&lab, *source)).collect();
    let ended = daemon.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.text());
    assert_eq!(
        ended.lines[ended.lines.len() - 2..],
        ["securityalert: PortSentry is shutting down", "adminalert: PortSentry is shutting down"]
    );
    for source in &sources {
        let attack = format!("attackalert: TCP SYN/Normal scan from host: {source}/{source} to TCP port: 11");
        let denied = format!(
            "attackalert: Host {source} has been blocked via wrappers with string: \"ALL: {source} : DENY\""
        );
        for line in [attack, denied] {
            assert_eq!(ended.lines.iter().filter(|found| **found == line).count(), 1, "{line}");
        }
        for file in ["BLOCKED_FILE", "HISTORY_FILE", "WRAPPER_HOSTS_DENY"] {
            let text = fs::read_to_string(setup.setting(file)).expect("the file is there");
            assert_eq!(text.lines().filter(|line| line.contains(&source.to_string())).count(), 1, "{file}");
        }
        assert!(service.answers(&lab.scanner, *source, Reach::Expected), "{source} is let in again");
    }
    assert!(!lab.is_attached());
}

#[test]
fn a_hundred_blocks_at_once_are_all_in_the_files() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp").start();
    let sources: Vec<_> = (0..100).map(|number| lab.source(FAMILIES[number % 2])).collect();
    let _probes: Vec<_> = sources.iter().map(|source| probe(&lab, *source)).collect();
    daemon.signal(Signal::SIGUSR1);
    wait_until_recorded(&daemon, &sources);
    daemon.assert_holds_once(&sources);
}

#[test]
fn a_blocked_source_passes_once_the_daemon_is_long_dead() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    // Long enough for the first looks on an emulated processor.
    let setup = lab.portsentry("-stcp").with("OPEN_AFTER", "20");
    let daemon = setup.start();
    let sources = FAMILIES.map(|family| daemon.block_source(family));
    daemon.kill();
    for source in sources {
        assert!(!service.answers(&lab.scanner, source, Reach::Unexpected), "{source} gets through at once");
    }
    let said = setup.say("status").out;
    assert!(said.contains("the kernel program continues for ") && said.contains("(OPEN_AFTER)"), "{said}");
    for source in sources {
        assert!(service.answers(&lab.scanner, source, Reach::Expected), "{source} never gets through");
    }
    let said = setup.say("status").out;
    assert!(said.contains("nothing is dropped any more (OPEN_AFTER)"), "{said}");
    let daemon = setup.start();
    for source in sources {
        assert!(!service.answers(&lab.scanner, source, Reach::Unexpected), "{source} gets through again");
    }
    daemon.assert_holds_once(&sources);
}

/// Whether a program that unshare(1) runs is itself in the new time namespace. Before Linux 6.3 only its children are
/// (`exec_task_namespaces` in `kernel/nsproxy.c`).
fn programs_enter_time_namespaces(lab: &Lab) -> bool {
    let link = "/proc/self/ns/time";
    let inside = lab.host.run("/usr/bin/unshare", &["--time", "readlink", link]);
    inside != lab.host.run("readlink", &[link])
}

/// Time from the machine's boot, as the daemon sees it, to the watch of ports, less than `SERVED_GRACE`.
const REST: u64 = 25;

#[test]
fn after_a_boot_blocks_hold_at_once_and_ports_are_watched_later() {
    let lab = Lab::new();
    if !programs_enter_time_namespaces(&lab) {
        println!("not run: this kernel puts only children of a program in its time namespace");
        return;
    }
    let service = lab.serve_tcp(8080);
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let sources = FAMILIES.map(|family| daemon.block_source(family));
    assert_eq!(daemon.terminate().code, Some(0));
    // A boot leaves the files, and no map.
    assert_eq!(setup.say("down").code, 0);
    let uptime = fs::read_to_string("/proc/uptime").expect("the uptime");
    let uptime: u64 = uptime.split('.').next().and_then(|text| text.parse().ok()).expect("seconds");
    let grace: u64 = 60;
    let offset = (uptime + REST).checked_sub(grace).expect("a machine that has been up for a minute");
    // BusyBox's shell has an `unshare` of its own.
    let boot = format!("exec /usr/bin/unshare --time --boottime -{offset} \"$@\"");
    let daemon = setup.with("SERVED_GRACE", &grace.to_string()).start_in(by_way_of(&boot));
    let begun = Instant::now();
    daemon.log().wait_for("The machine has just started: ports are watched in ");
    for source in sources {
        assert!(!service.answers(&lab.scanner, source, Reach::Unexpected), "{source} is blocked");
    }
    let clients = FAMILIES.map(|family| lab.source(family));
    let _probes = clients.map(|client| probe(&lab, client));
    let is_early = begun.elapsed() < Duration::from_secs(REST / 2);
    daemon.log().wait_for("Ports are watched now");
    let blocked = daemon.blocked();
    assert!(!is_early || clients.iter().all(|client| !blocked.contains(client)), "{blocked:?}");
    for client in clients {
        let _probe = probe(&lab, client);
        daemon.wait_for_block(client);
    }
    for source in sources {
        assert!(!service.answers(&lab.scanner, source, Reach::Unexpected), "{source} is still blocked");
    }
}

#[test]
fn run_is_another_name_for_no_command() {
    let lab = Lab::new();
    let daemon = lab.portsentry("run -stcp").start();
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
    assert!(daemon.log().lines()[2].ends_with("Going into stealth listen mode on TCP port: 1"));
    assert_eq!(daemon.terminate().code, Some(0));
}
