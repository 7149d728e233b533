//! Stops, crashes and restarts: the daemon loses no state, and no line is written twice or truncated.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use portsentry_tests::lab::{
    Daemon, FAMILIES, Family, Lab, Portsentry, Probe, Reach, classic_record, dump, remove_pins,
};

/// Fails unless every source is in the kernel's map, and once in every file.
fn assert_held_once(daemon: &Daemon<'_>, sources: &[IpAddr]) {
    let blocked = daemon.blocked();
    for source in sources {
        assert_eq!(blocked.iter().filter(|found| *found == source).count(), 1, "{source} in the map");
        for file in ["BLOCKED_FILE", "HISTORY_FILE"] {
            let records = daemon.file_about(file, *source);
            assert_eq!(records.len(), 1, "{source} in {file}: {records:?}");
            assert!(classic_record(&records[0], *source, (11, "TCP", "Blocked")), "{file}: {}", records[0]);
        }
        assert_eq!(daemon.file_about("WRAPPER_HOSTS_DENY", *source).len(), 1, "{source} in hosts.deny");
    }
    for file in ["BLOCKED_FILE", "HISTORY_FILE", "WRAPPER_HOSTS_DENY"] {
        assert_eq!(daemon.file(file).len(), sources.len(), "{file} has lines of other sources");
    }
}

fn probe(lab: &Lab, source: IpAddr) -> Probe {
    let host = if source.is_ipv4() { Family::V4.host() } else { Family::V6.host() };
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
    assert_held_once(&daemon, &sources);
    // The content of the disk at the start determines the result.
    daemon.terminate();
    let daemon = setup.start();
    assert_held_once(&daemon, &sources);
}

#[test]
fn who_is_blocked_stays_so_while_the_daemon_is_dead() {
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
    assert_held_once(&daemon, &sources);
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
    assert_held_once(&daemon, &sources);
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

/// Blocks sources and stops the daemon, so that only the files name them.
fn leave_files(lab: &Lab, setup: &Portsentry<'_>) -> [IpAddr; 2] {
    let daemon = setup.start();
    let sources = FAMILIES.map(|family| lab.source(family));
    for source in sources {
        lab.nmap(source, "-sS -p 11");
        daemon.wait_for_block(source);
    }
    daemon.terminate();
    remove_pins(&lab.pins());
    sources
}

#[test]
fn blocks_are_taken_over_from_the_blocked_file() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let setup = lab.portsentry("-stcp");
    let sources = leave_files(&lab, &setup);
    let daemon = setup.start();
    assert_held_once(&daemon, &sources);
    for source in sources {
        assert!(!service.answers(&lab.scanner, source, Reach::Unexpected));
        assert_eq!(daemon.lines_about(source), [""; 0], "that isn't news");
    }
}

#[test]
fn a_line_taken_out_while_no_daemon_ran_lifts_the_block() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let [lifted, held] = [lab.source(Family::V4), lab.source(Family::V4)];
    for source in [lifted, held] {
        lab.nmap(source, "-sS -p 11");
        daemon.wait_for_block(source);
    }
    let lines = daemon.file("BLOCKED_FILE");
    daemon.kill();
    let kept: Vec<_> = lines.iter().filter(|line| !line.contains(&lifted.to_string())).cloned().collect();
    fs::write(setup.setting("BLOCKED_FILE"), kept.join("\n") + "\n").expect("an administrator's edit");
    let daemon = setup.start();
    assert_eq!(daemon.blocked(), [held]);
    assert!(service.answers(&lab.scanner, lifted, Reach::Expected));
    assert!(!service.answers(&lab.scanner, held, Reach::Unexpected));
    daemon.wait_until("hosts.deny follows", || daemon.file_about("WRAPPER_HOSTS_DENY", lifted).is_empty());
    let history = daemon.file_about("HISTORY_FILE", lifted);
    assert!(
        history.len() == 2 && history[1].contains(" Lifted # because "),
        "history is history: {history:?}"
    );
}

#[test]
fn the_files_of_1_2s_modes_are_taken_over() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp -sudp");
    let [by_tcp, by_udp] = [lab.source(Family::V4), lab.source(Family::V4)];
    for (suffix, source, protocol) in [("stcp", by_tcp, "TCP"), ("sudp", by_udp, "UDP")] {
        let path = format!("{}.{suffix}", setup.setting("BLOCKED_FILE"));
        let line =
            format!("1795389179 - 11/22/2026 23:12:59 Host: {source}/{source} Port: 1 {protocol} Blocked\n");
        fs::write(path, line).expect("a file of 1.2's");
    }
    let daemon = setup.start();
    let mut blocked = daemon.blocked();
    blocked.sort_unstable();
    assert_eq!(blocked, [by_tcp, by_udp]);
    for (source, protocol) in [(by_tcp, "TCP"), (by_udp, "UDP")] {
        daemon
            .wait_until("the blocked file shows it", || daemon.file_about("BLOCKED_FILE", source).len() == 1);
        assert!(classic_record(
            &daemon.file_about("BLOCKED_FILE", source)[0],
            source,
            (1, protocol, "Blocked")
        ));
    }
}

#[test]
fn a_hundred_blocks_at_once_are_all_in_the_files() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp").start();
    let sources: Vec<_> = (0..100).map(|number| lab.source(FAMILIES[number % 2])).collect();
    let _probes: Vec<_> = sources.iter().map(|source| probe(&lab, *source)).collect();
    daemon.signal(Signal::SIGUSR1);
    wait_until_recorded(&daemon, &sources);
    assert_held_once(&daemon, &sources);
}

#[test]
fn who_is_blocked_passes_once_the_daemon_is_long_dead() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let setup = lab.portsentry("-stcp").with("OPEN_AFTER", "10");
    let daemon = setup.start();
    let sources = FAMILIES.map(|family| lab.source(family));
    for source in sources {
        lab.nmap(source, "-sS -p 11");
        daemon.wait_for_block(source);
    }
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
    assert_held_once(&daemon, &sources);
}

/// Creates a map of another version, with a permanent block of `source`.
fn leave_map(lab: &Lab, name: &str, source: IpAddr, value_size: usize) {
    let octets = match source {
        IpAddr::V4(source) => source.octets().to_vec(),
        IpAddr::V6(source) => source.octets().to_vec(),
    };
    let path = lab.pins().join(name).display().to_string();
    let words = |octets: &[u8]| octets.iter().map(u8::to_string).collect::<Vec<_>>().join(" ");
    let create = format!(
        "map create {path} type hash key {} value {value_size} entries 1000 name {name}",
        octets.len()
    );
    let mut value = vec![0; value_size];
    // `port` and `protocol` of a `Block`, if there are any.
    value.splice(
        32.min(value_size)..,
        [11, 0, 6].into_iter().chain([0; 64]).take(value_size.saturating_sub(32)),
    );
    let update = format!("map update pinned {path} key {} value {}", words(&octets), words(&value));
    for command in [create, update] {
        lab.host.run("bpftool", &command.split(' ').collect::<Vec<_>>());
    }
}

#[test]
fn blocks_in_maps_of_another_version_stay_in_force() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let setup = lab.portsentry("-stcp");
    let [shorter, longer] = FAMILIES.map(|family| lab.source(family));
    fs::create_dir_all(lab.pins()).expect("a directory of pins");
    leave_map(&lab, "BLOCKED_V4", shorter, 32);
    leave_map(&lab, "BLOCKED_V6", longer, 56);
    leave_map(&lab, "SIGHTS", longer, 8);
    let daemon = setup.start();
    assert!(!lab.pins().join("SIGHTS").exists(), "the map's earlier name is gone");
    for source in [shorter, longer] {
        assert!(!service.answers(&lab.scanner, source, Reach::Unexpected), "{source} gets through");
        daemon.wait_until("it is recorded", || daemon.file_about("BLOCKED_FILE", source).len() == 1);
    }
    assert!(daemon.file_about("BLOCKED_FILE", longer)[0].contains("Port: 11 TCP Blocked"));
    service.assert_open_to_bystander(&lab);
}

/// Returns the remaining duration of the kernel's block of `source`, in seconds.
fn held_seconds(lab: &Lab, source: IpAddr) -> u64 {
    let IpAddr::V4(source) = source else { unreachable!("an IPv4 source") };
    let entries = dump(&lab.pins().join("BLOCKED_V4"));
    let entry = entries
        .iter()
        .find(|entry| entry["formatted"]["key"]["octets"] == serde_json::json!(source.octets()));
    let value = &entry.expect("the block")["formatted"]["value"];
    let nanoseconds = |name: &str| value[name].as_u64().expect("a time");
    // A new block starts at a tick of the clock, a restored one at a whole second.
    (nanoseconds("until_ns") - nanoseconds("since_ns") + 500_000_000) / 1_000_000_000
}

#[test]
fn who_comes_back_stays_blocked_for_longer() {
    let lab = Lab::new();
    let settings = [("BLOCK_TIME", "1"), ("BLOCK_TIME_FACTOR", "60"), ("MAX_BLOCK_TIME", "600")];
    let setup = settings.iter().fold(lab.portsentry("-stcp"), |setup, (key, value)| setup.with(key, value));
    let daemon = setup.start();
    let [source, other] = [lab.source(Family::V4), lab.source(Family::V4)];
    lab.nmap(source, "-sS -p 11");
    daemon.log().wait_for(&format!("Host {source} is no longer blocked: its time is over"));
    lab.nmap(source, "-sS -p 11");
    daemon.log().wait_for(&format!("Host {source} reoffended (block 2): blocked for 60 s"));
    daemon.wait_until("the history has it", || daemon.file_about("HISTORY_FILE", source).len() == 2);
    assert_eq!(held_seconds(&lab, source), 60);
    daemon.kill();
    let daemon = setup.start();
    assert_eq!(held_seconds(&lab, source), 60);
    // A reboot leaves only the files.
    daemon.terminate();
    remove_pins(&lab.pins());
    let daemon = setup.start();
    assert_eq!(held_seconds(&lab, source), 60);
    // Removing the line unblocks the source, but the history keeps its block.
    fs::write(setup.setting("BLOCKED_FILE"), "").expect("an administrator's edit");
    daemon.log().wait_for(&format!("Host {source} is no longer blocked"));
    lab.nmap(source, "-sS -p 11");
    daemon.log().wait_for(&format!("Host {source} reoffended (block 3): blocked for 600 s"));
    lab.nmap(other, "-sS -p 11");
    daemon.log().wait_for(&format!("Host {other} is no longer blocked: its time is over"));
    assert!(!daemon.log().lines().iter().any(|line| line.contains(&format!("Host {other} reoffended"))));
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
