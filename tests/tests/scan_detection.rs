//! Scans that avoid traps (`SCAN_DETECTION`), by real scanners and by honest clients that fail.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use portsentry_common::classify::Protocol::Tcp;
use portsentry_tests::lab::{Daemon, FAMILIES, Family, Lab, Portsentry, Reach, Service};
use serde_json::Value;

use crate::gateway_answers::{SERVED, make_gateway};

/// No trap, and no service.
const FIRST: u16 = 2000;
/// Time limit for a connection to a host that may drop it.
const IMPATIENCE: Duration = Duration::from_millis(700);

fn watching<'a>(lab: &'a Lab, detection: &str) -> Portsentry<'a> {
    lab.portsentry("-stcp -sudp")
        .with("BLOCK_UNPROVEN", "0")
        .with("SCAN_DETECTION", detection)
        .with("SCAN_MEMORY", "1")
        .with("KILL_ON_PROOF", "0")
        .with("EVENT_RATE", "1000")
}

/// The same on a gateway, for the network behind it.
fn guarding<'a>(lab: &'a Lab, detection: &str) -> Portsentry<'a> {
    watching(lab, detection)
        .with("INTERFACES", "eth0")
        .with("PROTECTED_NETWORKS", "203.0.113.0/24")
        .with("ANSWERS", "observe")
}

/// Connects once. Returns the kind of the error, if any.
fn contact(lab: &Lab, source: IpAddr, at: SocketAddr) -> Option<ErrorKind> {
    lab.scanner.connect_from(source, at, IMPATIENCE).err().map(|error| error.kind())
}

/// Connects to `count` closed ports of the host, each of which refuses.
fn fail(lab: &Lab, source: IpAddr, first: u16, count: u16) {
    for port in first..first + count {
        let found = contact(lab, source, SocketAddr::new(Family::of(source).host(), port));
        assert_eq!(found, Some(ErrorKind::ConnectionRefused), "port {port} of {}", Family::of(source).host());
    }
}

/// Connects to further closed ports until the source is fenced. Returns the number of contacts.
fn scan_until_fenced(daemon: &Daemon<'_>, source: IpAddr, first: u16) -> u16 {
    let is_fenced = || daemon.fenced().contains(&source);
    (1..=24)
        .find(|number| {
            contact(daemon.lab(), source, SocketAddr::new(Family::of(source).host(), first + number));
            is_fenced()
        })
        .unwrap_or_else(|| panic!("{source} is not fenced:\n{}", daemon.log().lines().join("\n")))
}

fn suspect(daemon: &Daemon<'_>, source: IpAddr) -> Value {
    daemon.setup().say(&format!("why --json {source}")).json()["suspect"].clone()
}

fn assert_free(daemon: &Daemon<'_>, source: IpAddr, what: &str) {
    daemon.settle();
    assert!(!daemon.fenced().contains(&source), "{what}: fenced\n{}", daemon.log().lines().join("\n"));
    assert_eq!(daemon.blocked(), Vec::<IpAddr>::new(), "{what}");
}

#[test]
fn a_reported_scan_leaves_its_evidence_and_fences_nobody() {
    let lab = Lab::new();
    let daemon = watching(&lab, "report").start();
    let setup = daemon.setup();
    for family in FAMILIES {
        let source = lab.source(family);
        fail(&lab, source, FIRST, 16);
        let line = format!("Noted only (slow scan): source {source}/{source}, ");
        daemon.log().wait_for(&line);
        daemon.wait_until("the history has it", || !daemon.file_about("HISTORY_FILE", source).is_empty());
        let history = daemon.file_about("HISTORY_FILE", source);
        assert!(
            history[0].contains(" TCP Reported # because \"slow scan: ")
                && history[0].contains("failed first contacts within "),
            "{history:?}"
        );
        assert!(daemon.log().count(&line) <= 2, "not once for each port");
        let seen = suspect(&daemon, source);
        assert!(seen["failed"].as_u64() >= Some(10) && seen["score"].as_f64() >= Some(13.8), "{seen}");
        assert_eq!((&seen["verdict"], &seen["missing"]), (&"fence".into(), &Value::Null), "{seen}");
        let told = setup.say(&format!("history --json --kind slow --address {source}")).json();
        assert_eq!(told[0]["action"], "reported", "{told}");
        daemon.wait_until("it would be fenced", || {
            setup.entry("list --would --json", source).is_some_and(|would| would["state"] == "fenced")
        });
        assert_free(&daemon, source, "it is only reported");
        assert_eq!(daemon.file_about("WRAPPER_HOSTS_DENY", source), [""; 0], "no action");
    }
    let status = setup.say("status").out;
    assert!(status.contains("\nscans        report\n"), "{status}");
    assert!(status.contains("\nmemory horizon 24 h\n"), "{status}");
}

#[test]
fn a_host_that_begins_to_forward_only_reports_scans() {
    let lab = Lab::new();
    let daemon = watching(&lab, "fence").start();
    scan_until_fenced(&daemon, lab.source(Family::V4), FIRST);
    lab.host.run("sysctl", &["-qw", "net.ipv4.ip_forward=1"]);
    daemon.log().wait_for("Forwarding was switched on");
    let source = lab.source(Family::V4);
    fail(&lab, source, FIRST, 16);
    daemon.log().wait_for(&format!("Noted only (slow scan): source {source}/{source}, "));
    assert_free(&daemon, source, "a translated port would look unserved");
}

#[test]
fn a_scan_is_fenced_again_until_an_administrator_acquits_it() {
    let lab = Lab::new();
    let daemon = watching(&lab, "fence").with("FENCE_TIME", "4").start();
    let setup = daemon.setup();
    for family in FAMILIES {
        let source = lab.source(family);
        let contacts = scan_until_fenced(&daemon, source, FIRST);
        assert!((6..=14).contains(&contacts), "{contacts} contacts");
        daemon.log().wait_for(&format!("attackalert: slow scan from host: {source}/{source} to TCP port: "));
        daemon.log().wait_for(&format!("Host {source} has been fenced for 4 seconds"));
        daemon.wait_until("actions", || !daemon.file_about("WRAPPER_HOSTS_DENY", source).is_empty());
        // The verdict outlives the fence.
        daemon.wait_until("the fence ends", || setup.entry("list --json", source).is_none());
        let contacts = scan_until_fenced(&daemon, source, FIRST + 100);
        assert!(contacts <= 4, "{contacts} contacts");
        assert_eq!(setup.say(&format!("unblock {source}")).code, 0);
        assert_eq!(suspect(&daemon, source), Value::Null, "it is acquitted");
        fail(&lab, source, FIRST + 200, 3);
        assert_free(&daemon, source, "it begins anew");
        assert_eq!(suspect(&daemon, source)["failed"], 3);
    }
}

#[test]
fn a_released_or_ignored_suspect_is_forgotten() {
    let lab = Lab::new();
    let daemon = watching(&lab, "fence").start();
    let [released, ignored, other] = [(); 3].map(|()| lab.source(Family::V4));
    for source in [released, ignored, other] {
        fail(&lab, source, FIRST, 4);
        daemon.wait_until("it is a suspect", || suspect(&daemon, source)["failed"] == 4);
    }
    // It isn't held.
    daemon.setup().say(&format!("unblock {released}"));
    std::fs::write(daemon.setup().path("IGNORE_FILE"), format!("{ignored}\n")).expect("an ignore file");
    daemon.wait_until("it is forgotten", || suspect(&daemon, ignored) == Value::Null);
    assert_eq!(suspect(&daemon, released), Value::Null);
    assert_eq!(suspect(&daemon, other)["failed"], 4, "others are not affected");
    fail(&lab, ignored, FIRST + 10, 14);
    assert_free(&daemon, ignored, "it is ignored");
}

/// A client whose service restarts, and who mistypes; and a monitor of services that are all down.
#[test]
fn honest_clients_that_fail_are_left_alone() {
    let lab = Lab::new();
    let ports = FIRST + 100..FIRST + 109;
    let mut services: Vec<Service> = ports.clone().map(|port| lab.serve_tcp(port)).collect();
    let daemon = watching(&lab, "fence").with("SERVED_GRACE", "1").start();
    let [client, monitor] = [(); 2].map(|()| lab.source(Family::V4));
    for service in &services {
        assert!(service.answers(&lab.scanner, monitor, Reach::Expected), "{service:?}");
    }
    assert!(services[0].answers(&lab.scanner, client, Reach::Expected));
    services.clear();
    for _ in 0..3 {
        for port in ports.clone() {
            contact(&lab, monitor, SocketAddr::new(Family::of(monitor).host(), port));
        }
        (0..10).for_each(|_| {
            assert!(contact(&lab, client, SocketAddr::new(Family::of(client).host(), FIRST + 100)).is_some());
        });
    }
    fail(&lab, client, FIRST, 4);
    assert_free(&daemon, client, "its service restarts");
    assert_free(&daemon, monitor, "an outage");
    let noted = daemon.log().count("Noted only (");
    assert_eq!(noted, 0, "{}", daemon.log().lines().join("\n"));
}

#[test]
fn masscan_and_nmap_are_fenced_by_unwatched_ports_of_the_host() {
    let lab = Lab::new();
    let daemon = watching(&lab, "fence").start();
    let [fast, slow] = [(); 2].map(|()| lab.source(Family::V4));
    lab.masscan(fast, "--rate 100 -p 2000-2031");
    daemon.wait_until("masscan is fenced", || daemon.fenced().contains(&fast));
    lab.nmap(slow, "-sS --scan-delay 300ms -p 2000-2015");
    daemon.wait_until("nmap is fenced", || daemon.fenced().contains(&slow));
    assert_eq!(daemon.blocked(), Vec::<IpAddr>::new(), "never a block by itself");
}

/// A sweep of one port over a network behind, most of whose addresses have no host.
#[test]
fn a_sweep_of_a_network_behind_is_fenced_and_reaches_no_service() {
    let lab = Lab::new();
    let behind = make_gateway(&lab);
    let service = Service::start(&lab.bystander, Tcp, SERVED);
    let daemon = guarding(&lab, "fence").start();
    let [client, scanner] = [(); 2].map(|()| lab.source(Family::V4));
    assert!(service.answers_at(&lab.scanner, client, behind, Reach::Expected));
    let words = format!(
        "-n -Pn -sS --max-retries 0 --max-rate 1 --max-rtt-timeout 600ms -e eth0 -S {scanner} -p 2323 \
         203.0.113.32-55"
    );
    lab.scanner.run("nmap", &words.split(' ').collect::<Vec<_>>());
    daemon.wait_until("it is fenced", || daemon.fenced().contains(&scanner));
    daemon.log().wait_for(&format!("attackalert: sweep from host: {scanner}/{scanner} to TCP port: 2323"));
    assert!(!service.answers_at(&lab.scanner, scanner, behind, Reach::Unexpected), "it is fenced");
    assert!(service.answers_at(&lab.scanner, client, behind, Reach::Expected), "others aren't");
    let listed = daemon.setup().entry("list --json", scanner).expect("an entry");
    // Six failures, and those of the eight seconds in which an address that was never asked before may answer.
    assert!(listed["hits"].as_u64() <= Some(15), "{listed}");
}

/// A burst over silent addresses ends before their answers could have come, and its source sends nothing more.
#[test]
fn a_burst_is_judged_once_no_answer_can_come() {
    for (detection, line) in
        [("fence", "attackalert: sweep from host: "), ("report", "Noted only (sweep): source ")]
    {
        let lab = Lab::new();
        let behind = make_gateway(&lab);
        let service = Service::start(&lab.bystander, Tcp, SERVED);
        let daemon = guarding(&lab, detection).start();
        let [client, scanner] = [(); 2].map(|()| lab.source(Family::V4));
        assert!(service.answers_at(&lab.scanner, client, behind, Reach::Expected));
        let words = format!(
            "-n -Pn -sS --max-retries 0 --min-rate 100 --max-rtt-timeout 100ms -e eth0 -S {scanner} -p 2323 \
             203.0.113.32-43"
        );
        lab.scanner.run("nmap", &words.split(' ').collect::<Vec<_>>());
        assert_eq!(daemon.log().count(line), 0, "its answers may still come");
        daemon.log().wait_for(&format!("{line}{scanner}/{scanner}"));
        let seen = suspect(&daemon, scanner);
        assert!(seen["failed"].as_u64() >= Some(6) && seen["verdict"] == "fence", "{seen}");
        let is_fence = detection == "fence";
        daemon.wait_until("the state", || daemon.fenced().contains(&scanner) == is_fence);
        let reach = if is_fence { Reach::Unexpected } else { Reach::Expected };
        assert_eq!(service.answers_at(&lab.scanner, scanner, behind, reach), !is_fence);
        let count = if is_fence { "scan_fences" } else { "scan_reports" };
        let counted = || daemon.setup().say("status --json").json()["maps"]["counters"][count].as_u64();
        assert!(counted() >= Some(1), "{:?}: the daemon judged it", counted());
        assert!(service.answers_at(&lab.scanner, client, behind, Reach::Expected), "others are free");
    }
}

/// Eighty sources share 240 addresses of a network behind, three contacts each. Unrelated ones try one address.
#[test]
fn a_distributed_scan_is_reported_with_its_members_and_fences_nobody() {
    let lab = Lab::new();
    let behind = make_gateway(&lab);
    let service = Service::start(&lab.bystander, Tcp, SERVED);
    let daemon = guarding(&lab, "fence").start();
    let client = lab.source(Family::V4);
    assert!(service.answers_at(&lab.scanner, client, behind, Reach::Expected));
    let syn = |source: u32, last: u32, port: u16| {
        format!("IP(src='198.51.100.{}', dst='203.0.113.{last}')/TCP(dport={port}, flags='S')", 10 + source)
    };
    let unrelated = (0..80).map(|source| syn(source, 9, 2300));
    let shared = (0..240).map(|number| syn(number / 3, 10 + number, 2323));
    lab.scapy(&unrelated.chain(shared).collect::<Vec<_>>());
    let line = "Noted only (distributed scan): ";
    daemon.log().wait_for(line);
    daemon.settle();
    let lines = daemon.log().lines();
    let told: Vec<_> = lines.iter().filter(|told| told.contains(line)).collect();
    let [told] = told[..] else { panic!("{told:?}") };
    assert!(told.contains(" of 203.0.112.0/23 at TCP port 2323, lately 198.51.100."), "{told}");
    let is_member = |source: &IpAddr| source.to_string().starts_with("198.51.100.");
    assert!(!daemon.fenced().iter().any(is_member), "a group is never fenced: {:?}", daemon.fenced());
    assert_eq!(daemon.blocked(), Vec::<IpAddr>::new());
}

/// After a start nothing is known of the services behind, so each one's first client seems to fail until the answer comes.
#[test]
fn the_first_clients_of_many_services_are_no_distributed_scan() {
    let lab = Lab::new();
    make_gateway(&lab);
    lab.bystander.ip("route add local 203.0.113.128/25 dev lo");
    lab.host.ip(&format!("route add 198.51.100.0/24 via {}", Family::V4.member(2)));
    // Its resets keep the service's queue short.
    lab.scanner.ip("route add local 198.51.100.0/24 dev lo");
    let _service = Service::start(&lab.bystander, Tcp, SERVED);
    let daemon = guarding(&lab, "fence").with("PROTECTED_NETWORKS", "203.0.113.128/25").start();
    let contacts = |port: u16| -> Vec<_> {
        let syn = |number: u32| {
            let [source, last] = [10 + number, 128 + number];
            format!("IP(src='198.51.100.{source}', dst='203.0.113.{last}')/TCP(dport={port}, flags='S')")
        };
        (0..120).map(syn).collect()
    };
    let line = "Noted only (distributed scan): ";
    lab.scapy(&contacts(SERVED));
    let served = || daemon.setup().say("served --json").json().as_array().map_or(0, Vec::len);
    // Two questions whose hashes meet take one place.
    daemon.wait_until("the services are learned", || served() > 110);
    daemon.settle();
    assert_eq!(daemon.log().count(line), 0, "{:?}", daemon.log().lines());
    lab.scapy(&contacts(2323));
    daemon.log().wait_for(line);
}

#[test]
fn a_restart_keeps_the_suspects_and_down_leaves_nothing() {
    let lab = Lab::new();
    let setup = watching(&lab, "fence");
    let daemon = setup.start();
    let source = lab.source(Family::V4);
    fail(&lab, source, FIRST, 5);
    daemon.wait_until("it is a suspect", || suspect(&daemon, source)["failed"] == 5);
    daemon.terminate();
    let daemon = setup.start();
    assert_eq!(suspect(&daemon, source)["failed"], 5);
    // Another size is another memory.
    daemon.terminate();
    let setup = setup.with("SCAN_MEMORY", "4");
    let daemon = setup.start();
    assert_eq!(suspect(&daemon, source), Value::Null);
    // A configuration that doesn't name it detects nothing.
    daemon.terminate();
    let setup = setup.without("SCAN_DETECTION");
    let daemon = setup.start();
    fail(&lab, source, FIRST, 16);
    assert_free(&daemon, source, "it is off");
    assert!(setup.say("status").out.contains("\nscans        off\n"), "{}", setup.say("status").out);
    assert_eq!(setup.say("down").code, 0);
    assert!(!daemon.pins().exists() || std::fs::read_dir(daemon.pins()).expect("a directory").count() == 0);
}
