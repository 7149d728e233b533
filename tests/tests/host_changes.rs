//! Changes of the host's addresses, routes, name servers and interfaces.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use portsentry_tests::lab::{FAMILIES, Family, INTERFACE, Lab, Probe, Reach};

#[test]
fn a_new_gateway_is_let_in_and_a_new_address_is_watched() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let daemon = lab.portsentry("-stcp").start();
    let gateway = daemon.block_source(Family::V4);
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
        let source = daemon.block_source(FAMILIES[number % 2]);
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
    // The kernel removes the addresses before the interface, and a pair without an address is a container's.
    let ends =
        ["adminalert: eth1: no longer there", "adminalert: eth1: not watched: the host's end of a container"];
    daemon.wait_until("it is let go", || ends.iter().any(|line| daemon.log().count(line) > 0));
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
    daemon.block_source(Family::V4);
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
    for (flags, counts_foreign, counts_served) in [
        ("--stealth", false, false),
        ("--stealth --any-destination", true, false),
        ("--stealth -S", false, true),
    ] {
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
