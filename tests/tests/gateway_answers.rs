//! A gateway that learns from the answers of hosts behind it (`ANSWERS`): the statements of docs/gateway.md.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr, TcpStream},
};

use portsentry_common::classify::Protocol::{Tcp, Udp};
use portsentry_tests::lab::{Daemon, Family, Lab, Portsentry, Probe, Reach, Service};

pub(super) const SERVED: u16 = 8080;

/// Makes the host a gateway to the bystander, which has no other link. Returns the bystander's address.
pub(super) fn make_gateway(lab: &Lab) -> IpAddr {
    let (_, behind) = lab.plug_in_second(&lab.bystander);
    lab.host.run("sysctl", &["-qw", "net.ipv4.ip_forward=1"]);
    lab.bystander.ip("link set eth0 down\nroute add default via 203.0.113.1\n");
    lab.scanner.ip("route add 203.0.113.0/24 via 192.0.2.1\n");
    behind
}

pub(super) fn watching<'a>(lab: &'a Lab, answers: &str) -> Portsentry<'a> {
    let portsentry = lab.portsentry("-stcp -sudp").with("INTERFACES", "eth0").with("BLOCK_UNPROVEN", "0");
    portsentry
        .with("PROTECTED_NETWORKS", "203.0.113.0/24")
        .with("ANSWERS", answers)
        .with("TCP_PORTS", "1,11,79")
}

/// Scans 200 ports, none of which is listed or served. Returns the number of ports that nmap finds closed.
pub(super) fn scan(lab: &Lab, source: IpAddr, target: IpAddr) -> usize {
    let version: &[&str] = if target.is_ipv6() { &["-6"] } else { &[] };
    let (source, target) = (source.to_string(), target.to_string());
    let options = ["-n", "-Pn", "-sS", "--max-retries", "0", "--max-rtt-timeout", "300ms", "-e", "eth0"];
    let ports = ["-p", "2000-2199", "-oG", "-", "-S", &source, &target];
    let said = lab.scanner.run("nmap", &[&options[..], version, &ports[..]].concat());
    let ignored = said.split("Ignored State: closed (").nth(1).and_then(|rest| rest.split(')').next());
    said.matches("/closed/").count() + ignored.map_or(0, |number| number.parse().expect("a number"))
}

fn wait_for(daemon: &Daemon<'_>, counter: &str) {
    daemon.wait_until(counter, || daemon.counter(counter) > 0);
}

#[test]
fn a_scan_of_ports_on_no_list_is_fenced_and_its_answers_stay_inside() {
    let lab = Lab::new();
    let behind = make_gateway(&lab);
    let service = Service::start(&lab.bystander, Tcp, SERVED);
    let [client, scanner, second] = [(); 3].map(|()| lab.source(Family::V4));
    let daemon = watching(&lab, "enforce").start();
    let reaches = |source, reach| service.answers_at(&lab.scanner, source, behind, reach);
    assert!(reaches(client, Reach::Expected), "nothing is known yet");
    wait_for(&daemon, "learned_served");
    for source in [scanner, second] {
        let closed = scan(&lab, source, behind);
        assert!(closed < 4, "the fourth refusal and all later ones are withheld: {closed}");
        daemon.wait_until("the scanner is fenced", || daemon.fenced().contains(&source));
        assert!(!reaches(source, Reach::Unexpected), "a fenced source opens no connection");
    }
    assert!(reaches(client, Reach::Expected), "other clients are not affected");
    assert_eq!((daemon.blocked(), daemon.fenced().contains(&client)), (Vec::new(), false));
    assert!(!daemon.lines_about(scanner).is_empty());
    assert!(daemon.file_about("WRAPPER_HOSTS_DENY", scanner).is_empty(), "no action is taken without proof");
}

#[test]
fn where_answers_are_observed_nothing_is_fenced() {
    let lab = Lab::new();
    let behind = make_gateway(&lab);
    let scanner = lab.source(Family::V4);
    let daemon = watching(&lab, "observe").start();
    assert_eq!(scan(&lab, scanner, behind), 200);
    wait_for(&daemon, "over_failures");
    assert_eq!((daemon.counter("learned_refused"), daemon.counter("withheld")), (200, 0));
    assert_eq!((daemon.fenced(), daemon.blocked()), (Vec::new(), Vec::new()));
}

#[test]
fn learned_ports_are_listed_and_forgotten() {
    let lab = Lab::new();
    let behind = make_gateway(&lab);
    let client = lab.source(Family::V4);
    let service = Service::start(&lab.bystander, Tcp, SERVED);
    let daemon = watching(&lab, "observe").start();
    assert!(service.answers_at(&lab.scanner, client, behind, Reach::Expected));
    let _probe = Probe::tcp(&lab.scanner, client, SocketAddr::new(behind, 2000));
    wait_for(&daemon, "learned_refused");
    let setup = daemon.setup();
    let known = || {
        let ports = setup.say("served --json").json();
        let ports = ports.as_array().expect("an array").iter();
        ports.map(|port| format!("{} {}", port["port"], port["state"].as_str().expect("a state"))).collect()
    };
    let both: Vec<String> = known();
    assert_eq!(both, ["2000 refused", "8080 served"]);
    assert!(setup.say("served").out.contains("8080/TCP  served"), "{}", setup.say("served").out);
    assert_eq!(setup.say("served --network 192.0.2.0/24").out, "no port is learned\n");
    assert_eq!(setup.say_by("alice", &format!("forget {behind} --port 8080")).out, "forgot one port\n");
    let deeds = setup.say(&format!("history --json --action forgotten --address {behind}")).json();
    assert_eq!(
        (&deeds[0]["reason"], &deeds[0]["port"]),
        (&"alice asked for it: forgot one port".into(), &8080.into()),
        "{deeds}"
    );
    assert_eq!(known(), ["2000 refused"]);
    assert_eq!(setup.say("forget 203.0.113.0/24").code, 0);
    assert_eq!(known(), [""; 0]);
    assert_eq!(setup.say("forget 203.0.113.0/24").code, 1);
    // It is learned anew.
    assert!(service.answers_at(&lab.scanner, client, behind, Reach::Expected));
    daemon.wait_until("it is learned anew", || known() == ["8080 served"]);
}

/// A listed port is a trap at once, unless it has answered: to an ignored host, or before it was listed. What was
/// learned survives a restart.
#[test]
fn a_listed_port_that_has_answered_is_no_trap() {
    let lab = Lab::new();
    let behind = make_gateway(&lab);
    let [first, other, stranger] = [(); 3].map(|()| lab.source(Family::V4));
    let setup = watching(&lab, "enforce").ignoring(first);
    let service = Service::start(&lab.bystander, Tcp, 79);
    let daemon = setup.start();
    assert!(service.answers_at(&lab.scanner, first, behind, Reach::Expected));
    wait_for(&daemon, "learned_served");
    assert!(service.answers_at(&lab.scanner, other, behind, Reach::Expected));
    daemon.terminate();
    let daemon = setup.start();
    assert!(service.answers_at(&lab.scanner, stranger, behind, Reach::Expected));
    assert_eq!(daemon.fenced(), [] as [IpAddr; 0]);
    let _probe = Probe::tcp(&lab.scanner, stranger, SocketAddr::new(behind, 11));
    daemon.wait_until("the other listed port is a trap", || daemon.fenced().contains(&stranger));
}

/// The gateway's own address: a forwarded port, and others that are refused inside.
#[test]
fn ports_that_are_forwarded_inside_are_learned_too() {
    let lab = Lab::new();
    make_gateway(&lab);
    let host = Family::V4.host();
    let rule = format!(
        "add table ip nat; add chain ip nat in {{ type nat hook prerouting priority -100; }}; \
         add rule ip nat in ip daddr {host} tcp dport {{ 79, 2000-2199, {SERVED} }} dnat to 203.0.113.2"
    );
    lab.host.run("nft", &[&rule]);
    let [first, client, scanner] = [(); 3].map(|()| lab.source(Family::V4));
    let listed = Service::start(&lab.bystander, Tcp, 79);
    let service = Service::start(&lab.bystander, Tcp, SERVED);
    let daemon = watching(&lab, "enforce").ignoring(first).start();
    assert!(listed.answers(&lab.scanner, first, Reach::Expected));
    wait_for(&daemon, "learned_served");
    for service in [&listed, &service] {
        assert!(service.answers(&lab.scanner, client, Reach::Expected), "{service:?}");
    }
    let closed = scan(&lab, scanner, host);
    assert!(closed < 4, "{closed}");
    daemon.wait_until("the scanner is fenced", || daemon.fenced().contains(&scanner));
    assert_eq!((daemon.blocked(), daemon.fenced().contains(&client)), (Vec::new(), false));
}

/// Clients of names, times and dead hosts, and one that is refused three times.
#[test]
fn honest_clients_are_not_fenced() {
    let lab = Lab::new();
    let behind = make_gateway(&lab);
    let dead: IpAddr = "203.0.113.77".parse().expect("an address");
    let names = Service::start(&lab.bystander, Udp, 53);
    let service = Service::start(&lab.bystander, Tcp, SERVED);
    let [resolver, retrying, clumsy] = [(); 3].map(|()| lab.source(Family::V4));
    let daemon = watching(&lab, "enforce").with("UDP_PORTS", "9").start();
    for _ in 0..8 {
        assert!(names.answers_at(&lab.scanner, resolver, behind, Reach::Expected));
    }
    // The gateway itself says that the host is unreachable.
    let probes: Vec<_> =
        (3000..3010).map(|port| Probe::tcp(&lab.scanner, retrying, SocketAddr::new(dead, port))).collect();
    for port in 3000..3003 {
        let _probe = Probe::tcp(&lab.scanner, clumsy, SocketAddr::new(behind, port));
    }
    daemon.wait_until("three refusals", || daemon.counter("failed_connections") == 3);
    let late = lab.scanner.enter(|| TcpStream::connect((dead, 3010)));
    assert_eq!(late.map_err(|error| error.kind()).err(), Some(ErrorKind::HostUnreachable));
    drop(probes);
    for client in [resolver, retrying, clumsy] {
        assert!(service.answers_at(&lab.scanner, client, behind, Reach::Expected), "{client}");
    }
    assert_eq!(daemon.fenced(), [] as [IpAddr; 0]);
}
