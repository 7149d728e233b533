//! Settings without their own test file, each with a test of its effect.

use std::net::{IpAddr, SocketAddr};

use portsentry_common::classify::Protocol;
use portsentry_tests::lab::{Daemon, FAMILIES, Family, Lab, Probe, Reach, Service};

const DEBIAN: &str = include_str!("../../portsentry/testdata/debian-1.2.conf");

fn has_line(daemon: &Daemon<'_>, line: &str) -> bool {
    daemon.log().lines().iter().any(|found| found == line)
}

#[test]
fn interfaces_are_those_of_the_file() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp").with("INTERFACES", "eth0").start();
    assert!(has_line(&daemon, "adminalert: eth0: native XDP"), "{:#?}", daemon.log().lines());
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    assert_eq!(daemon.lines_about(source).len(), 1);
}

#[test]
fn a_gateway_watches_over_the_networks_behind_it() {
    let lab = Lab::new();
    let (_, behind) = lab.plug_in_second(&lab.bystander);
    let service = Service::start(&lab.bystander, Protocol::Tcp, 8080);
    lab.host.run("sysctl", &["-qw", "net.ipv4.ip_forward=1"]);
    lab.scanner.ip(&format!("route add {behind} via {}", Family::V4.host()));
    lab.bystander.ip("route add 192.0.2.100/30 via 203.0.113.1");
    let setup = lab.portsentry("-stcp -i ALL_NLO");
    let probe = |source, port| Probe::tcp(&lab.scanner, source, SocketAddr::new(behind, port));
    // Without the setting it does not.
    let source = lab.source(Family::V4);
    let daemon = setup.start();
    assert!(service.answers_at(&lab.scanner, source, behind, Reach::Expected));
    let _probe = probe(source, 11);
    assert_eq!(daemon.lines_about(source), [""; 0]);
    daemon.terminate();
    let daemon = setup.with("PROTECTED_NETWORKS", "203.0.113.0/24").start();
    let _probe = probe(source, 12);
    assert_eq!(daemon.lines_about(source), [""; 0]);
    let _probe = probe(source, 11);
    assert_eq!(
        daemon.lines_about(source),
        [format!("attackalert: TCP SYN/Normal scan from host: {source}/{source} to TCP port: 11")]
    );
    assert!(!service.answers_at(&lab.scanner, source, behind, Reach::Unexpected));
}

#[test]
fn each_interface_says_how_it_is_watched_and_why() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp -i ALL").start();
    for line in [
        "adminalert: eth0: native XDP",
        "adminalert: lo: generic XDP, because the driver reported: Operation not supported (os error 95)",
    ] {
        assert!(has_line(&daemon, line), "{line}\n{:#?}", daemon.log().lines());
    }
}

#[test]
fn generic_mode_does_the_same() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let daemon = lab.portsentry("-stcp -sudp").with("XDP_MODE", "generic").start();
    assert!(has_line(&daemon, "adminalert: eth0: generic XDP"), "{:#?}", daemon.log().lines());
    for (family, words) in [(Family::V4, "-sS -p 11"), (Family::V6, "-sX -p 11"), (Family::V4, "-sU -p 69")] {
        let source = lab.source(family);
        lab.nmap(source, words);
        assert_eq!(daemon.lines_about(source).len(), 1, "{words}");
        assert!(!service.answers(&lab.scanner, source, Reach::Unexpected));
    }
    service.assert_open_to_bystander(&lab);
}

#[test]
fn no_more_are_blocked_than_allowed_and_that_is_said() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp").with("MAX_BLOCKED", "4").start();
    let sources: Vec<_> = (0..5).map(|_| lab.source(Family::V4)).collect();
    for source in &sources {
        lab.nmap(*source, "-sS -p 11");
    }
    let last = sources[4];
    daemon.log().wait_for(&format!("adminalert: ERROR: Could not block host {last}: MAX_BLOCKED reached"));
    let blocked = daemon.blocked();
    assert!(sources[..4].iter().all(|source| blocked.contains(source)), "no block is evicted: {blocked:?}");
    daemon.wait_until("the blocked file follows", || daemon.file("BLOCKED_FILE").len() == 4);
    // IPv6 has its own map.
    let source = lab.source(Family::V6);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
}

#[test]
fn a_repeat_is_no_news_until_the_window_is_over() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp").with("BLOCK_TCP", "0").with("REPEAT_WINDOW", "1").start();
    let source = lab.source(Family::V4);
    let line = format!("attackalert: TCP SYN/Normal scan from host: {source}/{source} to TCP port: 11");
    let begin = std::time::Instant::now();
    daemon.wait_until("the same probe is told again", || {
        let _probe = Probe::tcp(&lab.scanner, source, SocketAddr::new(Family::V4.host(), 11));
        daemon.log().count(&line) == 2
    });
    assert!(begin.elapsed().as_millis() >= 1000, "told again after {:?}", begin.elapsed());
    assert!(daemon.counter("repeated") > 0);
}

#[test]
fn probes_beyond_the_event_rate_are_still_blocked_and_recorded() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp").with("EVENT_RATE", "1").start();
    let sources: Vec<_> = (0..12).map(|number| lab.source(FAMILIES[number % 2])).collect();
    let probe = |source: &IpAddr| {
        let host = Family::of(*source).host();
        Probe::tcp(&lab.scanner, *source, SocketAddr::new(host, 11))
    };
    let _probes: Vec<_> = sources.iter().map(probe).collect();
    daemon.log().wait_for("probes not logged: EVENT_RATE exceeded");
    for source in &sources {
        assert!(daemon.blocked().contains(source));
        daemon.wait_for_block(*source);
        assert_eq!(daemon.file_about("BLOCKED_FILE", *source).len(), 1);
        assert_eq!(daemon.file_about("HISTORY_FILE", *source).len(), 1);
    }
}

#[test]
fn the_kernel_program_speaks_for_itself_only_if_asked_to() {
    let lab = Lab::new();
    for (flags, speaks) in [("-stcp -d", true), ("-stcp", false)] {
        let daemon = lab.portsentry(flags).start();
        for family in FAMILIES {
            let source = lab.source(family);
            lab.nmap(source, "-sS -p 11");
            let mapped =
                if let IpAddr::V4(source) = source { source.to_ipv6_mapped().into() } else { source };
            let line =
                format!("adminalert: Kernel program: {mapped} to port 11: protocol 6, kind 1, flags 2, ");
            if speaks {
                daemon.log().wait_for(&line);
            }
            daemon.settle();
            assert_eq!(daemon.log().count(&line), usize::from(speaks), "{flags}");
        }
        daemon.terminate();
    }
}

#[test]
fn syslog_gets_the_facility_and_level_of_the_file() {
    let lab = Lab::new();
    let syslog = lab.syslog();
    let config =
        format!("{DEBIAN}\nSYSLOG_FACILITY=\"local3\"\nSYSLOG_LEVEL=\"warning\"\nLOG_OUTPUT=\"syslog\"\n");
    let daemon = lab.portsentry("--stealth").installed(&config).start_silent();
    let line = syslog.wait_for("Portsentry is now active and listening.");
    // RFC 3164 section 4.1.1: facility times eight, plus the level.
    assert!(line.starts_with(&format!("<{}>", 19 * 8 + 4)), "{line}");
    assert!(line.contains(&format!(" portsentry[{}]: ", daemon.process())), "{line}");
}

#[test]
fn blocks_end_when_their_time_is_over_and_the_files_follow() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let daemon = lab.portsentry("-stcp").with("BLOCK_TIME", "5").start();
    for family in FAMILIES {
        let source = lab.source(family);
        lab.nmap(source, "-sS -p 11");
        daemon.wait_for_block(source);
        assert!(!service.answers(&lab.scanner, source, Reach::Unexpected));
        daemon.log().wait_for(&format!("Host {source} is no longer blocked: its time is over"));
        assert!(service.answers(&lab.scanner, source, Reach::Expected));
        daemon.wait_until("the files follow", || {
            ["BLOCKED_FILE", "WRAPPER_HOSTS_DENY"]
                .iter()
                .all(|file| daemon.file_about(file, source).is_empty())
        });
        assert_eq!(daemon.file_about("HISTORY_FILE", source).len(), 2, "its beginning and its end");
    }
}

#[test]
fn a_block_ends_in_the_kernel_though_the_daemon_is_dead() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let daemon = lab.portsentry("-stcp").with("BLOCK_TIME", "5").start();
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
    daemon.kill();
    assert!(!service.answers(&lab.scanner, source, Reach::Unexpected));
    // The client repeats its SYN until it gets through.
    assert!(service.answers(&lab.scanner, source, Reach::Expected));
}

#[test]
fn check_says_what_would_be_and_starts_nothing() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp -audp check").with("INTERFACES", "eth0").ignoring("198.51.100.0/24");
    let ended = setup.fail();
    assert_eq!(ended.code, Some(0), "{}", ended.text());
    for text in [
        "portsentry.conf: OK. Effective configuration:",
        "  watched      TCP 1,7,11,15,79-80,111,119,143",
        "  ignored      198.51.100.0/24",
        "\"ALL: 192.0.2.9 : DENY\"",
    ] {
        assert!(ended.text().contains(text), "\"{text}\" isn't in:\n{}", ended.text());
    }
    assert!(!lab.pins().exists(), "nothing is loaded");
    let ended = setup.with("SCAN_TRIGGER", "x").with("BLOCK_TCP", "7").fail();
    assert_eq!(ended.code, Some(3));
    assert_eq!(ended.lines.iter().filter(|line| line.starts_with("error")).count(), 2, "{}", ended.text());
}

#[test]
fn a_packet_to_ourselves_is_logged_on_request() {
    for (flags, count) in [("--stealth", 0), ("--stealth -L", 1)] {
        let lab = Lab::new();
        let daemon = lab.portsentry(flags).with("LOG_FORMAT", "auto").with("INTERFACES", "eth0,lo").start();
        let ours = Family::V4.host();
        let to = SocketAddr::new(ours, 11);
        lab.host.enter(|| drop(std::net::TcpStream::connect(to)));
        daemon.settle();
        let line = format!("Noted only, from: [{ours}] ({ours}) protocol: [TCP] port: [11] ");
        assert_eq!(daemon.log().count(&line), count, "{flags}");
        assert_eq!(daemon.log().count("has been"), daemon.log().count("has been blocked in the kernel"));
        assert!(!daemon.blocked().contains(&ours));
    }
}

#[test]
fn two_outputs_have_every_line_however_short_the_queue_of_one() {
    let lab = Lab::new();
    // As in Debian, and before the log's socket is made.
    lab.host.run("sysctl", &["-q", "-w", "net.unix.max_dgram_qlen=10"]);
    let syslog = lab.host.enter(|| lab.syslog());
    let setup = lab.portsentry("-stcp -sudp -l stdout -l syslog").installed(DEBIAN);
    let mut received = Vec::new();
    let printed = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !received.last().is_some_and(|line: &String| line.contains("is now active and listening")) {
                received.push(syslog.next());
            }
        });
        let daemon = setup.start();
        reader.join().expect("the log is read");
        daemon.log().lines()
    });
    // Its list of ports takes a line for each.
    let printed: Vec<_> = printed.iter().filter(|line| line.starts_with("adminalert: ")).collect();
    assert!(printed.len() > 80, "{printed:#?}");
    for (line, received) in printed.into_iter().zip(&received) {
        assert!(received.ends_with(line.as_str()), "{line} is expected: {received}");
    }
}
