//! Responses to scans, by the settings that determine when, for which protocol, and after how many packets.

use portsentry_tests::lab::{Daemon, FAMILIES, Family, Lab, Reach, classic_record, dump};

fn syn_lines(daemon: &Daemon<'_>, source: std::net::IpAddr) -> Vec<String> {
    let all = daemon.lines_about(source).into_iter();
    all.filter(|line| line.starts_with("attackalert: TCP SYN/Normal scan")).collect()
}

#[test]
fn a_blocked_scanner_gets_nothing_and_everybody_else_is_served() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let daemon = lab.portsentry("-stcp -sudp").start();
    for family in FAMILIES {
        let source = lab.source(family);
        let before = lab.nmap(source, "-sS -p 12,8080 --send-ip");
        assert!(before.contains("12/closed") && before.contains("8080/open"), "{before}");
        lab.nmap(source, "-sS -p 11 --send-ip");
        daemon.wait_for_block(source);
        let dropped = daemon.counter("dropped");
        let after = lab.nmap(source, "-sS -p 11,12,8080 --send-ip");
        for port in [11, 12, 8080] {
            assert!(after.contains(&format!("{port}/filtered")), "{after}");
        }
        let dropped = daemon.counter("dropped") - dropped;
        assert_eq!(dropped, 3, "each of the second scan's packets is dropped, and counted");
        assert!(!service.answers(&lab.scanner, source, Reach::Unexpected));
        assert_eq!(syn_lines(&daemon, source).len(), 1, "who is blocked isn't news");
        service.assert_open_to_bystander(&lab);
    }
}

#[test]
fn a_sweep_is_stopped_at_the_first_watched_port() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp -sudp").start();
    let sources = [lab.source(Family::V4), lab.source(Family::V4), lab.source(Family::V6)];
    lab.masscan(sources[0], "-p 1-143 --rate 5000");
    lab.nmap(sources[1], "-sS -p 1-143");
    lab.nmap(sources[2], "-sS -p 1-143");
    for source in sources {
        let lines = syn_lines(&daemon, source);
        assert_eq!(lines.len(), 1, "{lines:?}");
        daemon.wait_for_block(source);
        assert_eq!(daemon.file_about("HISTORY_FILE", source).len(), 1);
    }
}

#[test]
fn hping3s_packets_are_seen_for_what_they_are() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp -sudp").start();
    for (words, kind, port) in [
        ("-S -p 11", "TCP SYN/Normal scan", "TCP port: 11"),
        ("-F -p 11", "TCP FIN scan", "TCP port: 11"),
        ("-F -P -U -p 15", "TCP XMAS scan", "TCP port: 15"),
        ("-p 15", " TCP NULL scan", "TCP port: 15"),
        ("-S -X -Y -p 11", "TCP SYN/Normal scan", "TCP port: 11"),
        ("--udp -p 69", "UDP scan", "UDP port: 69"),
    ] {
        let source = lab.source(Family::V4);
        lab.hping3(source, words);
        let expected = format!("attackalert: {kind} from host: {source}/{source} to {port}");
        assert_eq!(daemon.lines_about(source), [expected], "hping3 {words}");
    }
}

#[test]
fn the_trigger_counts_the_hits_of_each_source() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp -sudp -v").with("SCAN_TRIGGER", "3").start();
    for family in FAMILIES {
        let [scanner, other] = [lab.source(family), lab.source(family)];
        let noted = |source, what, hit: u32, port: &str| {
            format!(
                "adminalert: Noted only (hit {hit}, below SCAN_TRIGGER): {what}, source {source}/{source}, {port}"
            )
        };
        lab.nmap(scanner, "-sS -p 11");
        lab.nmap(other, "-sS -p 11");
        lab.nmap(scanner, "-sS -p 11");
        lab.nmap(scanner, "-sF -p 7");
        let first = [
            noted(scanner, "TCP SYN/Normal scan", 1, "TCP port 11"),
            noted(scanner, "TCP FIN scan", 2, "TCP port 7"),
        ];
        assert_eq!(daemon.lines_about(scanner), first);
        assert!(!daemon.blocked().contains(&scanner));
        assert_eq!(daemon.file_about("HISTORY_FILE", scanner), [""; 0]);
        lab.nmap(scanner, "-sS -p 15");
        let third =
            format!("attackalert: TCP SYN/Normal scan from host: {scanner}/{scanner} to TCP port: 15");
        assert_eq!(daemon.lines_about(scanner), [&first[..], &[third]].concat());
        assert!(daemon.blocked().contains(&scanner));
        assert!(!daemon.blocked().contains(&other));
    }
}

#[test]
fn probes_without_consequence_are_not_reported() {
    let lab = Lab::new();
    let ignored = lab.source(Family::V4);
    let daemon = lab.portsentry("-stcp").with("SCAN_TRIGGER", "2").ignoring(ignored).start();
    let source = lab.source(Family::V4);
    lab.nmap(ignored, "-sS -p 11");
    lab.nmap(source, "-sS -p 11");
    assert_eq!(daemon.lines_about(ignored), [""; 0]);
    assert_eq!(daemon.lines_about(source), [""; 0]);
    lab.nmap(source, "-sS -p 15");
    assert_eq!(daemon.lines_about(source).len(), 1);
}

#[test]
fn logging_only_drops_nothing_and_says_what_would_have_been() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let daemon = lab.portsentry("-stcp -sudp").with("BLOCK_TCP", "0").start();
    for family in FAMILIES {
        let source = lab.source(family);
        lab.nmap(source, "-sS -p 11");
        lab.nmap(source, "-sS -p 11");
        lab.nmap(source, "-sS -p 15");
        let line = |port| {
            format!("attackalert: TCP SYN/Normal scan from host: {source}/{source} to TCP port: {port}")
        };
        assert_eq!(
            daemon.lines_about(source),
            [
                line(11),
                format!("adminalert: Host {source} would have been blocked with BLOCK_TCP=\"1\""),
                line(15),
            ]
        );
        assert!(!daemon.blocked().contains(&source));
        assert_eq!(daemon.file_about("BLOCKED_FILE", source), [""; 0]);
        // Each action has a line in the history, but a repeat has none.
        let history = || daemon.file_about("HISTORY_FILE", source);
        daemon.wait_until("the history has both acts", || history().len() == 2);
        for (record, port) in history().iter().zip([11, 15]) {
            assert!(classic_record(record, source, (port, "TCP", "Reported")), "{record}");
        }
        assert!(service.answers(&lab.scanner, source, Reach::Expected));
        // UDP has its own setting.
        lab.nmap(source, "-sU -p 69");
        daemon.wait_for_block(source);
        assert!(daemon.blocked().contains(&source));
        assert!(!service.answers(&lab.scanner, source, Reach::Unexpected));
    }
    let left_alone = "attackalert: Ignoring TCP response per configuration file setting.";
    assert!(daemon.log().lines().iter().any(|line| line == left_alone));
}

#[test]
fn acks_count_where_they_are_wanted_and_are_not_looked_at_where_they_are_not() {
    let lab = Lab::new();
    for (setting, expected) in [
        ("off", &[][..]),
        (
            "log",
            &[
                "adminalert: Noted only (may belong to a closed connection): TCP ACK scan, source @, TCP port 11",
            ],
        ),
        ("count", &["attackalert: TCP ACK scan from host: @ to TCP port: 11"]),
    ] {
        let daemon = lab.portsentry("-stcp").with("ACK_PROBES", setting).start();
        let source = lab.source(Family::V4);
        lab.nmap(source, "-sA -p 11");
        let expected: Vec<_> =
            expected.iter().map(|line| line.replace('@', &format!("{source}/{source}"))).collect();
        assert_eq!(daemon.lines_about(source), expected, "{setting}");
        assert_eq!(daemon.blocked().contains(&source), setting == "count");
        daemon.terminate();
    }
}

#[test]
fn advanced_modes_watch_every_port_below_a_bound_but_the_excluded_and_the_used() {
    let lab = Lab::new();
    let service = lab.serve_tcp(300);
    let daemon = lab
        .portsentry("-atcp -audp")
        .with("ADVANCED_PORTS_TCP", "512")
        .with("ADVANCED_EXCLUDE_TCP", "113,139")
        .with("ADVANCED_PORTS_UDP", "256")
        .with("ADVANCED_EXCLUDE_UDP", "137-138,67")
        .start();
    let started = daemon.log().lines();
    for line in [
        "adminalert: Advanced mode will monitor first 512 ports",
        "adminalert: Advanced mode will manually exclude port: 113 ",
        "adminalert: Advanced Stealth scan detection mode activated. Ignored TCP port: 139",
        "adminalert: Advanced mode will monitor first 256 ports",
        "adminalert: Advanced Stealth scan detection mode activated. Ignored UDP port: 138",
    ] {
        assert!(started.iter().any(|found| found == line), "\"{line}\" isn't in {started:#?}");
    }
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 113,139,300,512,1024");
    lab.nmap(source, "-sU -p 67,137,138,256");
    assert_eq!(daemon.lines_about(source), [""; 0]);
    for (words, port, protocol, kind) in [
        ("-sS -p 511", 511, "TCP", "TCP SYN/Normal scan"),
        ("-sF -p 2", 2, "TCP", "TCP FIN scan"),
        ("-sU -p 255", 255, "UDP", "UDP scan"),
    ] {
        let source = lab.source(Family::V6);
        lab.nmap(source, words);
        let expected = format!("attackalert: {kind} from host: {source}/{source} to {protocol} port: {port}");
        assert_eq!(daemon.lines_about(source), [expected]);
    }
    service.assert_open_to_bystander(&lab);
}

#[test]
fn one_protocols_mode_leaves_the_other_alone() {
    let lab = Lab::new();
    for (flag, silent, seen) in [
        ("-stcp", "-sU -p 69", "-sS -p 11"),
        ("-sudp", "-sS -p 11", "-sU -p 69"),
        ("-atcp", "-sU -p 69", "-sS -p 11"),
        ("-audp", "-sS -p 11", "-sU -p 69"),
    ] {
        let daemon = lab.portsentry(flag).start();
        let source = lab.source(Family::V4);
        lab.nmap(source, silent);
        assert_eq!(daemon.lines_about(source), [""; 0], "{flag}");
        lab.nmap(source, seen);
        assert_eq!(daemon.lines_about(source).len(), 1, "{flag}");
        daemon.terminate();
    }
}

#[test]
fn bpftool_shows_the_maps_by_the_names_of_their_fields() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp -sudp").with("SCAN_TRIGGER", "2").start();
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    let tallied = dump(&daemon.pins().join("SOURCES"));
    assert_eq!(tallied[0]["formatted"]["value"]["hits"], 1);
    lab.nmap(source, "-sS -p 15");
    daemon.wait_for_block(source);
    let blocked = dump(&daemon.pins().join("BLOCKED_V4"));
    let block = &blocked[0]["formatted"]["value"];
    for (field, expected) in [("port", 15), ("protocol", 6), ("kind", 1), ("flags", 2), ("hits", 2)] {
        assert_eq!(block[field], expected, "{field} of {block}");
    }
    assert_eq!(daemon.counter("blocked"), 1);
    for map in [
        "WATCHED_TCP",
        "WATCHED_UDP",
        "ADVANCED_TCP",
        "ADVANCED_UDP",
        "BLOCKED_V6",
        "IGNORED_V4",
        "IGNORED_V6",
        "COUNTERS",
    ] {
        for entry in dump(&daemon.pins().join(map)) {
            assert!(entry.get("formatted").is_some(), "{map} has no types: {entry}");
        }
    }
}
