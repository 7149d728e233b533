//! Changes at run time: to files, to the configuration, and to the host's addresses, routes and interfaces.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use portsentry_tests::lab::{Daemon, FAMILIES, Family, INTERFACE, Lab, Probe, Reach, Wire, stranger};

fn block(lab: &Lab, daemon: &Daemon<'_>, family: Family) -> IpAddr {
    let source = lab.source(family);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
    source
}

#[test]
fn a_line_taken_out_of_the_blocked_file_lets_its_host_in() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let daemon = lab.portsentry("-stcp").start();
    let [lifted, held] = FAMILIES.map(|family| block(&lab, &daemon, family));
    let path = daemon.setup().path("BLOCKED_FILE");
    fs::write(&path, daemon.file_about("BLOCKED_FILE", held).join("\n") + "\n")
        .expect("an administrator's edit");
    daemon.log().wait_for(&format!("adminalert: Host {lifted} is no longer blocked"));
    assert_eq!(daemon.blocked(), [held]);
    assert!(service.answers(&lab.scanner, lifted, Reach::Expected));
    assert!(!service.answers(&lab.scanner, held, Reach::Unexpected));
    daemon.wait_until("hosts.deny follows", || daemon.file_about("WRAPPER_HOSTS_DENY", lifted).is_empty());
    assert_eq!(daemon.file_about("WRAPPER_HOSTS_DENY", held).len(), 1);
    assert_eq!(daemon.file_about("BLOCKED_FILE", held).len(), 1);
    // Its count starts again.
    lab.nmap(lifted, "-sS -p 15");
    daemon.wait_until("it is blocked again", || daemon.blocked().contains(&lifted));
    daemon.wait_until("its history has both", || daemon.file_about("HISTORY_FILE", lifted).len() == 2);
}

#[test]
fn a_line_added_to_the_blocked_file_blocks_its_host() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let daemon = lab.portsentry("-stcp").start();
    let before = block(&lab, &daemon, Family::V4);
    let added = FAMILIES.map(|family| lab.source(family));
    assert!(added.iter().all(|source| service.answers(&lab.scanner, *source, Reach::Expected)));
    let mut lines = daemon.file("BLOCKED_FILE");
    lines.extend(added.map(|source| source.to_string()));
    // An administrator can't lock out the host itself.
    lines.push(Family::V4.host().to_string());
    fs::write(daemon.setup().path("BLOCKED_FILE"), lines.join("\n") + "\n").expect("an administrator's edit");
    for source in added {
        daemon.log().wait_for(&format!("Host {source} is blocked: its line in the blocked file"));
        daemon.wait_for_block(source);
        assert!(!service.answers(&lab.scanner, source, Reach::Unexpected));
    }
    let host = Family::V4.host();
    daemon.log().wait_for(&format!("the blocked file names {host}, which is never blocked"));
    let mut expected = [&[before], &added[..]].concat();
    let mut blocked = daemon.blocked();
    expected.sort_unstable();
    blocked.sort_unstable();
    assert_eq!(blocked, expected);
    daemon.wait_until("the file is put right", || daemon.file_about("BLOCKED_FILE", host).is_empty());
    assert_eq!(daemon.file("BLOCKED_FILE").len(), 3);
}

#[test]
fn other_peoples_lines_in_hosts_deny_survive() {
    const THEIRS: &str = "# mine\nsshd: 198.51.100.0/24\nALL: 192.0.2.9 : DENY";
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let path = setup.path("WRAPPER_HOSTS_DENY");
    fs::write(&path, THEIRS).expect("somebody's file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).expect("somebody's mode");
    std::os::unix::fs::chown(&path, Some(12), Some(34)).expect("somebody's file");
    let daemon = setup.start();
    let source = block(&lab, &daemon, Family::V4);
    let with_ours = format!("{THEIRS}\nALL: {source} : DENY\n");
    assert_eq!(fs::read_to_string(&path).expect("it is there"), with_ours);
    fs::write(daemon.setup().path("BLOCKED_FILE"), "").expect("an administrator's edit");
    daemon.wait_until("our line goes", || {
        fs::read_to_string(&path).is_ok_and(|text| text == format!("{THEIRS}\n"))
    });
    let metadata = fs::metadata(&path).expect("it is there");
    assert_eq!((metadata.mode() & 0o777, metadata.uid(), metadata.gid()), (0o604, 12, 34));
}

#[test]
fn a_line_of_ours_in_hosts_deny_that_was_there_before_survives() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let setup = lab.portsentry("-stcp");
    let source = lab.source(Family::V4);
    let theirs = format!("ALL: {source} : DENY\n");
    fs::write(setup.path("WRAPPER_HOSTS_DENY"), &theirs).expect("an administrator's line");
    let daemon = setup.start();
    lab.nmap(source, "-sS -p 11");
    daemon.wait_until("the blocked file notes it", || {
        daemon.file_about("BLOCKED_FILE", source).iter().any(|line| line.ends_with(" # denied before"))
    });
    // The change survives a restart.
    daemon.terminate();
    let daemon = setup.start();
    let other = block(&lab, &daemon, Family::V6);
    fs::write(setup.path("BLOCKED_FILE"), "").expect("an administrator's edit");
    daemon.log().wait_for(&format!("Host {source} is no longer blocked"));
    daemon.wait_until("our line goes", || daemon.file_about("WRAPPER_HOSTS_DENY", other).is_empty());
    assert_eq!(daemon.file("WRAPPER_HOSTS_DENY"), [theirs.trim()]);
    assert!(service.answers(&lab.scanner, source, Reach::Expected));
}

#[test]
fn a_source_that_becomes_ignored_is_let_in() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let daemon = lab.portsentry("-stcp").start();
    let [freed, held] = FAMILIES.map(|family| block(&lab, &daemon, family));
    let path = daemon.setup().path("IGNORE_FILE");
    fs::write(&path, format!("{freed}/32")).expect("an administrator's edit");
    daemon.log().wait_for(&format!("Host {freed} is no longer blocked"));
    assert_eq!(daemon.blocked(), [held]);
    assert!(service.answers(&lab.scanner, freed, Reach::Expected));
    lab.nmap(freed, "-sS -p 11,15");
    daemon.settle();
    assert!(!daemon.blocked().contains(&freed));
    // An invalid file has no effect.
    fs::write(&path, "192.0.2.0/33\n").expect("an administrator's mistake");
    daemon.log().wait_for("the ignored networks are unchanged");
    lab.nmap(freed, "-sS -p 11,15");
    daemon.settle();
    assert!(!daemon.blocked().contains(&freed));
}

#[test]
fn a_hangup_has_the_configuration_read_again() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let blocked = block(&lab, &daemon, Family::V4);
    setup.clone().with("TCP_PORTS", "1,7,11,5000-5010").write();
    daemon.signal(Signal::SIGHUP);
    daemon.log().wait_for("Configuration reloaded");
    let [old, new] = [lab.source(Family::V4), lab.source(Family::V6)];
    lab.nmap(old, "-sS -p 15");
    lab.nmap(new, "-sS -p 5005");
    assert_eq!(daemon.lines_about(old), [""; 0]);
    let attack = format!("attackalert: TCP SYN/Normal scan from host: {new}/{new} to TCP port: 5005");
    assert_eq!(daemon.lines_about(new), [attack]);
    assert!(daemon.blocked().contains(&blocked), "who was blocked still is");
    assert_eq!(daemon.file_about("HISTORY_FILE", blocked).len(), 1);
    // An invalid configuration has no effect.
    setup.clone().with("TCP_PORTS", "1,x").write();
    daemon.signal(Signal::SIGHUP);
    daemon.log().wait_for("The configuration is unchanged");
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 5006");
    assert_eq!(daemon.lines_about(source).len(), 1);
    assert_eq!(daemon.terminate().code, Some(0));
}

#[test]
fn warnings_of_files_that_are_read_again_are_in_the_log() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    setup.clone().with("NO_SUCH", "1").write();
    daemon.signal(Signal::SIGHUP);
    let config = setup.config_path().display().to_string();
    let warning = daemon.log().wait_for("warning: unknown setting NO_SUCH; ignored").len();
    let line = daemon.log().lines()[warning].clone();
    assert!(line.starts_with(&format!("adminalert: {config}:")), "{line}");
    let ignored = setup.path("IGNORE_FILE");
    fs::write(&ignored, "0.0.0.0/0\n").expect("an administrator's edit");
    daemon
        .log()
        .wait_for(&format!("adminalert: {}:1:1: warning: this ignores every source", ignored.display()));
}

#[test]
fn what_the_maps_take_is_said_again_when_it_has_changed() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let said = || {
        let mut lines = daemon.log().lines();
        lines.retain(|line| line.starts_with("adminalert: Kernel maps: "));
        lines
    };
    for (round, limit) in [(1, "65536"), (2, "262144")] {
        setup.clone().with("MAX_BLOCKED", limit).write();
        daemon.signal(Signal::SIGHUP);
        let news = "Configuration reloaded";
        daemon.wait_until("it is read again", || daemon.log().count(news) == round);
    }
    daemon.wait_until("it is said again", || said().len() > 1);
    let said = said();
    assert!(said.len() == 2 && said[0] != said[1], "{said:#?}");
}

#[test]
fn no_packet_of_a_blocked_source_passes_while_it_is_reloaded() {
    let lab = Lab::new();
    let service = lab.serve_udp(8080);
    let daemon = lab.portsentry("-stcp").start();
    let source = block(&lab, &daemon, Family::V4);
    for round in 1..=5 {
        daemon.signal(Signal::SIGHUP);
        while daemon.log().count("Configuration reloaded") < round {
            assert!(!service.answers(&lab.scanner, source, Reach::AtOnce), "round {round}");
        }
    }
    service.assert_open_to_bystander(&lab);
}

#[test]
fn no_new_source_is_missed_while_it_is_reloaded() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp").start();
    let wire = Wire::mouth(&lab.scanner);
    let mut strangers = (0..).map(stranger);
    let mut sources = Vec::new();
    for round in 1..=5 {
        daemon.signal(Signal::SIGHUP);
        while daemon.log().count("Configuration reloaded") < round {
            let source = strangers.next().expect("another stranger");
            wire.probe(source);
            daemon.wait_until("its one packet blocks it", || daemon.blocked().contains(&source));
            sources.push(source);
        }
    }
    assert!(sources.len() >= 5, "some come during each: {sources:?}");
    let blocked = daemon.blocked();
    assert!(sources.iter().all(|source| blocked.contains(source)), "all still are in the end");
    daemon.wait_until("the file has them all", || daemon.file("BLOCKED_FILE").len() == sources.len());
}

#[test]
fn a_hangup_has_another_ignore_file_read() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let [freed, held] = FAMILIES.map(|family| block(&lab, &daemon, family));
    let other = lab.files().join("other.ignore");
    fs::write(&other, format!("{freed}\n")).expect("an ignore file");
    setup.with("IGNORE_FILE", &other.display().to_string()).write();
    daemon.signal(Signal::SIGHUP);
    daemon.log().wait_for(&format!("Host {freed} is no longer blocked"));
    daemon.log().wait_for("Configuration reloaded");
    lab.nmap(freed, "-sS -p 11,15");
    daemon.settle();
    assert!(!daemon.blocked().contains(&freed) && daemon.blocked().contains(&held));
}

#[test]
fn a_summary_is_logged_on_demand() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp").start();
    block(&lab, &daemon, Family::V4);
    daemon.signal(Signal::SIGUSR1);
    daemon.log().wait_for("adminalert: Summary: 1 sources blocked or fenced, 1 probes, ");
}

#[test]
fn a_new_gateway_is_let_in_and_a_new_address_is_watched() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let daemon = lab.portsentry("-stcp").start();
    let gateway = block(&lab, &daemon, Family::V4);
    lab.host.ip(&format!("route add default via {gateway}"));
    daemon.log().wait_for(&format!("Host {gateway} is no longer blocked: its address is never blocked"));
    assert!(service.answers(&lab.scanner, gateway, Reach::Expected));
    lab.host.ip("address add 192.0.2.99/24 dev eth0");
    let source = lab.source(Family::V4);
    daemon.wait_until("the new address is watched", || {
        let _probe = Probe::tcp(&lab.scanner, source, SocketAddr::new(Family::V4.member(99), 11));
        daemon.blocked().contains(&source)
    });
}

#[test]
fn a_new_name_server_is_let_in() {
    const CONFIG: &str = "TCP_PORTS=\"11\"\nIGNORE_FILE=\"/etc/portsentry/portsentry.ignore\"\nBLOCK_TCP=\"1\"\n\
                          KILL_HOSTS_DENY=\"ALL: $TARGET$ : DENY\"\nBLOCK_UNPROVEN=\"1\"\n";
    /// Interval at which the daemon reads the host's state without an event.
    const EVERY: Duration = Duration::from_mins(1);
    type Change = fn(&Path, &str);
    let changes: [(&str, Change); 3] = [
        ("made", |resolv, text| fs::write(resolv, text).expect("a new file")),
        ("written to", |resolv, text| fs::write(resolv, text).expect("a file")),
        ("replaced", |resolv, text| {
            let new = resolv.with_extension("new");
            fs::write(&new, text).expect("a new file");
            fs::rename(&new, resolv).expect("a file in the place of another");
        }),
    ];
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let daemon = lab.portsentry("-stcp -l stdout").installed(CONFIG).start();
    let resolv = lab.files().join("etc/resolv.conf");
    let mut servers = Vec::new();
    for (number, (what, change)) in (1..).zip(changes) {
        let source = block(&lab, &daemon, FAMILIES[number % 2]);
        // Any change of a file makes the daemon read the host's state again, and this change is reported after all
        // earlier ones.
        fs::write(daemon.setup().path("IGNORE_FILE"), format!("198.51.100.{number}\n")).expect("a file");
        daemon.wait_until("it is read", || daemon.log().count("portsentry.ignore reloaded") == number);
        servers.push(format!("nameserver {source}\n"));
        let begin = Instant::now();
        change(&resolv, &servers.concat());
        daemon.log().wait_for(&format!("Host {source} is no longer blocked: its address is never blocked"));
        assert!(begin.elapsed() < EVERY / 2, "the file is {what}, and that isn't noticed");
        assert_eq!(daemon.blocked(), [] as [IpAddr; 0], "the file is {what}");
        assert!(service.answers(&lab.scanner, source, Reach::Expected), "the file is {what}");
    }
}

#[test]
fn an_interface_that_comes_is_watched_and_one_that_goes_is_let_go() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp -i ALL_NLO").start();
    let (host, scanner) = lab.plug_in_second(&lab.scanner);
    daemon.log().wait_for("adminalert: eth1: native XDP");
    daemon.wait_until("probes on it count", || {
        let _probe = Probe::tcp(&lab.scanner, scanner, SocketAddr::new(host, 11));
        daemon.blocked().contains(&scanner)
    });
    lab.host.ip("link delete eth1");
    daemon.log().wait_for("adminalert: eth1: no longer there");
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    assert_eq!(daemon.lines_about(source).len(), 1, "the first goes on");
    assert_eq!(daemon.terminate().code, Some(0));
}

#[test]
fn an_interface_that_is_away_at_a_hangup_is_watched_once_it_is_back() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let (host, earlier) = lab.plug_in_second(&lab.scanner);
    let daemon = lab.portsentry("-stcp -i eth0 -i eth1").start();
    let probe = |source| Probe::tcp(&lab.scanner, source, SocketAddr::new(host, 11));
    let _probe = probe(earlier);
    daemon.wait_for_block(earlier);
    lab.host.ip("link delete eth1");
    daemon.log().wait_for("adminalert: eth1: no longer there");
    daemon.signal(Signal::SIGHUP);
    daemon.log().wait_for("Configuration reloaded");
    daemon.log().wait_for("adminalert: eth1: not there; it is watched as soon as it comes");
    block(&lab, &daemon, Family::V4);
    lab.plug_in_second(&lab.scanner);
    lab.scanner.ip("address add 203.0.113.3/24 dev eth1");
    daemon.wait_until("it is watched again", || daemon.log().count("adminalert: eth1: native XDP") == 2);
    assert!(!service.answers_at(&lab.scanner, earlier, host, Reach::Unexpected));
    let later = IpAddr::from([203, 0, 113, 3]);
    assert!(service.answers_at(&lab.scanner, later, host, Reach::Expected));
    let _probe = probe(later);
    daemon.wait_for_block(later);
    assert_eq!(daemon.log().count("eth1: not there"), 1, "it is said once");
    assert_eq!(daemon.terminate().code, Some(0));
}

#[test]
fn a_process_that_takes_over_goes_on_without_an_interface_that_it_can_not_have() {
    let lab = Lab::new();
    lab.plug_in_second(&lab.scanner);
    let first = lab.portsentry("-stcp -i eth0 -i eth1").start();
    lab.host.ip("link delete eth1");
    first.log().wait_for("adminalert: eth1: no longer there");
    let second = lab.portsentry("-audp -i eth0 -i eth1 -i eth2").start();
    first.log().wait_for("Watching for all processes together: stcp, audp");
    first.log().wait_for("adminalert: eth1: not there");
    // Attaches another XDP program to an interface that only the second process watches.
    let shown = lab.host.run("ip", &["-json", "link", "show", INTERFACE]);
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    lab.host.ip("link add eth2 type veth peer name eth3");
    let program = shown[0]["xdp"]["prog"]["id"].to_string();
    lab.host.run("bpftool", &["net", "attach", "xdpgeneric", "id", &program, "dev", "eth2"]);
    drop(first.terminate());
    second.log().wait_for("adminalert: eth1: not there");
    second.log().wait_for("adminalert: ERROR: interface eth2 already has another XDP program");
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sU -p 500");
    second.wait_for_block(source);
    assert_eq!(second.terminate().code, Some(0));
}

#[test]
fn a_source_blocked_on_one_interface_is_blocked_on_all() {
    let lab = Lab::new();
    let (host, scanner) = lab.plug_in_second(&lab.scanner);
    let service = lab.serve_tcp(8080);
    let daemon = lab.portsentry("-stcp -i eth0 -i eth1").start();
    let ask = || service.answers_at(&lab.scanner, scanner, host, Reach::Expected);
    assert!(ask());
    // Spoofs the second interface's address on the first.
    lab.scapy(&[format!("IP(src='{scanner}', dst='{}')/TCP(dport=11, flags='S')", Family::V4.host())]);
    daemon.wait_for_block(scanner);
    assert!(!service.answers_at(&lab.scanner, scanner, host, Reach::Unexpected));
    service.assert_open_to_bystander(&lab);
}

#[test]
fn checks_of_destination_and_services_can_be_switched_off() {
    let lab = Lab::new();
    let _service = lab.serve_tcp(80);
    // Scapy needs a route to its destination.
    lab.scanner.ip(&format!("route add default via {}", Family::V4.host()));
    let foreign = |source: IpAddr| format!("IP(src='{source}', dst='198.51.100.9')/TCP(dport=11, flags='S')");
    for (flags, counts_foreign, counts_served) in
        [("--stealth", false, false), ("--stealth -L", true, false), ("--stealth -S", false, true)]
    {
        let daemon = lab.portsentry(flags).start();
        let [to_foreign, to_served] = [lab.source(Family::V4), lab.source(Family::V4)];
        lab.scapy(&[foreign(to_foreign)]);
        lab.nmap(to_served, "-sS -p 80");
        daemon.settle();
        let blocked = daemon.blocked();
        assert_eq!(blocked.contains(&to_foreign), counts_foreign, "{flags}");
        assert_eq!(blocked.contains(&to_served), counts_served, "{flags}");
        daemon.terminate();
    }
}
