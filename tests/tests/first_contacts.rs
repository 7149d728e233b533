//! Failed first contacts: kernel program, model and oracle agree on them, and the rules hold in a few stories.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use fastrand::Rng;
use portsentry::policy::Sighting;
use portsentry_common::{
    address::{Ipv4, Ipv6},
    decide::Verdict,
    judge::Action,
    scan::Pair,
    settings::{Answers, Response, ScanDetection, Settings},
};
use portsentry_tests::{
    frames::{ACK, Extension, Packet, RST, SYN, ordinary_syn, tcp},
    judges::Judges,
    namespace::with_sockets,
    outcome::Outcome,
    scenario::Scenario,
    test_host,
};

/// A key under which no pair of these tests is taken for another one.
const KEY: u64 = 7;
const SETS: u32 = 256;

fn scanning(settings: &mut Settings) {
    const HOUR_NS: u64 = 3_600_000_000_000;
    settings.fence_ns = HOUR_NS;
    settings.fence_rate = u32::MAX;
    settings.first_ephemeral = 32_768;
    settings.last_ephemeral = 60_999;
    settings.trigger = u32::MAX;
    settings.scans = ScanDetection::Fence as u8;
    settings.scan_key = KEY;
    settings.scan_mask = SETS - 1;
    settings.remembers = 0;
}

fn judge(judges: &mut Judges, packet: &Packet) -> Outcome {
    judges.judge(&packet.frame(0), packet)
}

/// A SYN as operating systems send it.
fn syn(client: &str, host: &str) -> Packet {
    ordinary_syn().from(client).to(host)
}

fn story(change: impl FnOnce(&mut Settings), tell: impl FnOnce(&mut Judges) + Send) {
    let scenario = Scenario::with(|settings| {
        scanning(settings);
        change(settings);
    });
    with_sockets(&test_host::sockets(), || tell(&mut Judges::new(&scenario)));
}

const CLIENT: &str = "192.0.2.61:40000";

/// Returns the action and the events' verdicts.
fn shown(outcome: &Outcome) -> (Action, Vec<(Verdict, u32)>) {
    let verdict = |told: &Sighting| (told.verdict, told.hits);
    let is_verdict = |told: &&Sighting| matches!(told.verdict, Verdict::Report | Verdict::Fence);
    (outcome.action, outcome.told.iter().filter(is_verdict).map(verdict).collect())
}

/// Own addresses and ports without a service, and a few with one.
const HOSTS: [&str; 14] = [
    "198.51.100.1:23",
    "198.51.100.1:113",
    "198.51.100.2:445",
    "198.51.100.2:2000",
    "198.51.100.1:2001",
    "203.0.113.1:2000",
    "203.0.113.1:8081",
    "198.51.100.1:22",
    "198.51.100.2:80",
    "[2001:db8::1]:23",
    "[2001:db8::2]:2000",
    "[2001:db8::1]:2001",
    "[2001:db8::2]:113",
    "[2001:db8::1]:443",
];
/// Strangers, two of one IPv6 network, an ignored one, and a neighbour.
const CLIENTS: [&str; 7] = [
    "192.0.2.61",
    "192.0.2.62",
    "192.0.2.241",
    "2001:db8:bad::1",
    "2001:db8:bad::2",
    "2001:db8:5::9",
    "2001:db8:fee::1",
];

fn sequence(random: &mut Rng, scenario: &Scenario) -> BTreeSet<&'static str> {
    const STEPS: usize = 250;
    let mut judges = Judges::new(scenario);
    let mut reached = BTreeSet::new();
    for _ in 0..STEPS {
        let client = random.choice(CLIENTS).expect("a client");
        let hosts: Vec<_> =
            HOSTS.into_iter().filter(|host| host.starts_with('[') == client.contains(':')).collect();
        let host = random.choice(hosts).expect("a host");
        let client = SocketAddr::new(client.parse().expect("an address"), random.u16(40_000..50_000));
        let packet = match random.u8(..8) {
            // The window of these packets is a scanner's.
            0 => tcp(SYN).from(&client.to_string()).to(host),
            1 => tcp(SYN).from(&client.to_string()).to(host).vlan(7),
            2 => tcp(ACK).from(&client.to_string()).to(host),
            // Its transport header isn't where scanners' is.
            3 if client.is_ipv4() => tcp(SYN).from(&client.to_string()).to(host).ipv4_options(24),
            3 => tcp(SYN).from(&client.to_string()).to(host).extension(Extension::DestinationOptions(3)),
            _ => syn(&client.to_string(), host),
        };
        reached.extend(judge(&mut judges, &packet).counted.into_keys());
    }
    reached
}

/// Returns those of `hosts` that aren't taken for earlier ones. The oracle, which has sets without hashes, would count the
/// others, too.
fn unmistaken(hosts: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut set = 0_u64;
    let is_new = |at: &SocketAddr| {
        let marks = match at.ip() {
            IpAddr::V4(address) => Pair::new(Ipv4::from(address), at.port(), KEY).marks(),
            IpAddr::V6(address) => Pair::new(Ipv6::from(address), at.port(), KEY).marks(),
        };
        let is_new = set & marks != marks;
        set |= marks;
        is_new
    };
    hosts.filter(is_new).collect()
}

#[test]
fn no_pair_is_taken_for_another() {
    let hosts = HOSTS.map(|host| host.parse::<SocketAddr>().expect("an address and port"));
    for is_ipv4 in [true, false] {
        let hosts: Vec<_> = hosts.into_iter().filter(|at| at.is_ipv4() == is_ipv4).collect();
        assert_eq!(unmistaken(hosts.iter().copied()), hosts);
    }
}

#[test]
fn sequences_of_contacts_are_judged_alike() {
    type Change = fn(&mut Settings);
    let changes: [(&str, Change); 8] = [
        ("scans fence", |_| {}),
        ("scans are reported", |settings| settings.scans = ScanDetection::Report as u8),
        ("they are not detected", |settings| settings.scans = ScanDetection::Off as u8),
        ("TCP is only reported", |settings| settings.tcp_response = Response::Report as u8),
        ("nothing is fenced", |settings| settings.fence_ns = 0),
        ("IPv6 sources are counted by their /64", |settings| *settings = settings.held_by(64)),
        ("the daemon is long dead", |settings| settings.open_after_ns = 1),
        ("traps fence, too", |settings| settings.trigger = 3),
    ];
    let (mut random, mut reached) = (Rng::with_seed(24), BTreeSet::new());
    for (what, change) in changes {
        println!("{what}");
        let scenario = Scenario::with(|settings| {
            scanning(settings);
            change(settings);
        });
        with_sockets(&test_host::sockets(), || reached.extend(sequence(&mut random, &scenario)));
    }
    let all = ["failed_contacts", "scan_reports", "scan_fences", "fenced"];
    assert!(all.iter().all(|counter| reached.contains(counter)), "{reached:?}");
}

#[test]
fn a_scan_of_unwatched_ports_is_reported_and_then_fenced() {
    story(
        |_| {},
        |judges| {
            for port in 1..=12_u32 {
                let packet = syn(CLIENT, &format!("198.51.100.1:{}", 3000 + port));
                let (action, told) = shown(&judge(judges, &packet));
                let expected = match port {
                    7 => (Action::Pass, vec![(Verdict::Report, 7)]),
                    10 => (Action::Drop, vec![(Verdict::Fence, 10)]),
                    11.. => (Action::Drop, Vec::new()),
                    _ => (Action::Pass, Vec::new()),
                };
                assert_eq!((action, told), expected, "{port}");
            }
        },
    );
}

/// No source is fenced before its sixth distinct pair, however often it repeats the others.
#[test]
fn retransmissions_count_once() {
    story(
        |_| {},
        |judges| {
            for _ in 0..40 {
                for port in [3001, 3002, 3003] {
                    let packet = tcp(SYN).from(CLIENT).to(&format!("198.51.100.1:{port}"));
                    assert_eq!(judge(judges, &packet).action, Action::Pass);
                }
            }
        },
    );
}

fn observing(settings: &mut Settings) {
    settings.answers = Answers::Observe as u8;
    settings.failed_connections = 200;
}

fn segment(host: &str, client: &str, flags: u8, sequence: u32) -> Vec<u8> {
    tcp(flags).numbers(sequence, 1).from(host).to(client).frame(0)
}

/// The first refusal shows that answers of this network are seen.
#[test]
fn silent_addresses_behind_count_and_an_answer_takes_them_back() {
    story(observing, |judges| {
        const MANY: usize = 14;
        let ask = |judges: &mut Judges, client: &str, host: &str| judge(judges, &syn(client, host)).counted;
        let unheard = ask(judges, CLIENT, "203.0.113.20:22");
        assert!(!unheard.contains_key("failed_contacts"), "no answer has been seen: {unheard:?}");
        let other = "192.0.2.99:40000";
        ask(judges, other, "203.0.113.9:22");
        judges.leave(&segment("203.0.113.9:22", other, RST | ACK, 0), true);
        // The first client's addresses refuse in the end, those of the second one accept.
        for (client, first, flags) in [(CLIENT, 21, RST | ACK), ("192.0.2.62:40000", 121, SYN | ACK)] {
            let hosts = (first..first + 90).map(|last| SocketAddr::from(([203, 0, 113, last], 22)));
            let hosts: Vec<_> = unmistaken(hosts).iter().take(MANY).map(SocketAddr::to_string).collect();
            let mut failed = 0;
            for host in &hosts[..MANY - 1] {
                let counted = ask(judges, client, host);
                failed += counted.get("failed_contacts").copied().unwrap_or_default();
                assert!(
                    !counted.contains_key("scan_reports") && !counted.contains_key("scan_fences"),
                    "{host}: their answers may still come: {counted:?}"
                );
            }
            assert!(failed >= 6, "{client}: {failed} counted");
            for host in &hosts[..MANY - 1] {
                judges.leave(&segment(host, client, flags, 0), true);
            }
            let counted = ask(judges, client, &hosts[MANY - 1]);
            let is_scanner = ["scan_reports", "scan_fences"].map(|verdict| counted.contains_key(verdict));
            assert_eq!(is_scanner, [false, flags == RST | ACK], "{client}: {counted:?}");
        }
    });
}

#[test]
fn refusals_behind_report_and_acceptances_do_not() {
    story(observing, |judges| {
        let mut reports = Vec::new();
        for (client, flags) in [("192.0.2.61:40000", RST | ACK), ("192.0.2.62:40000", SYN | ACK)] {
            for port in 3000..3020 {
                let host = format!("203.0.113.9:{port}");
                let counted = judge(judges, &syn(client, &host)).counted;
                reports.extend(counted.contains_key("scan_reports").then_some((client, port)));
                judges.leave(&segment(&host, client, flags, 0), true);
            }
        }
        let [(client, port)] = reports[..] else { panic!("{reports:?}") };
        assert_eq!(client, "192.0.2.61:40000");
        assert!((3007..3010).contains(&port), "{port}");
    });
}
