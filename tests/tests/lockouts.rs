//! Lock-out trials: mistakes by an SSH client, and packets spoofed in its name, in every mode of enforcement. The
//! tables hold the true outcomes.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    os::unix::net::UnixStream,
    time::Duration,
};

use portsentry_common::classify::Protocol::Tcp;
use portsentry_tests::{
    frames::{SYN, tcp},
    lab::{Daemon, FAMILIES, Family, INTERFACE, Lab, Portsentry, Probe, Reach, Service, Session, Sshd, Wire},
};
use serde_json::Value;

use crate::gateway_answers::make_gateway;

const PATIENCE: Duration = Duration::from_secs(20);
/// Time limit for a connection to a trap, whose SYN may be dropped. Linux sends the next one after a second.
const IMPATIENCE: Duration = Duration::from_millis(1500);

/// Ports that nmap scans, and its patience. Blocked ones never answer.
const PORTS: &str = "-p 1,7,11,15,79,80,111,119,143 --max-retries 2 --max-rtt-timeout 300ms";

/// A mode of enforcement, and how it came to be.
#[derive(Clone, Copy, Debug)]
struct Mode {
    flags: &'static str,
    /// Settings before `portsentry setup`.
    settings: &'static [(&'static str, &'static str)],
    /// Whether `portsentry setup` arms it.
    is_armed: bool,
}

const OBSERVING: Mode =
    Mode { flags: "-stcp -sudp", settings: &[("BLOCK_TCP", "0"), ("BLOCK_UDP", "0")], is_armed: false };
const LISTED: Mode = Mode { flags: "-stcp -sudp", settings: &[], is_armed: true };
const ADVANCED: Mode = Mode { flags: "-atcp -audp", settings: &[], is_armed: true };
const CONNECT: Mode = Mode { flags: "-tcp -udp", settings: &[], is_armed: true };
const DROPPING: Mode = Mode { flags: "-stcp -sudp", settings: &[("FENCE", "drop")], is_armed: true };
const CONNECT_DROPPING: Mode = Mode { flags: "-tcp -udp", settings: &[("FENCE", "drop")], is_armed: true };
/// No source is ever proven.
const FENCING: Mode =
    Mode { flags: "-stcp -sudp", settings: &[("CHALLENGE", "0"), ("BLOCK_UNPROVEN", "0")], is_armed: false };

/// The columns of [`OUTCOMES`].
const MODES: [Mode; 7] = [OBSERVING, LISTED, ADVANCED, CONNECT, DROPPING, CONNECT_DROPPING, FENCING];

/// What happens in the client's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    /// It connects to a closed port.
    Mistypes,
    /// It sends a datagram to a closed port.
    SendsDatagram,
    /// A connect scan of three ports, such as an inventory's.
    TriesThree,
    /// A SYN scan.
    ScansHalfOpen,
    /// A connect scan of all ports.
    Scans,
    /// Another host sends SYNs and datagrams with its address.
    IsSpoofed,
}
use Mistake::{IsSpoofed, Mistypes, Scans, ScansHalfOpen, SendsDatagram, TriesThree};

/// The outcome for a client with a running session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It is not held.
    Free,
    /// It is fenced: the session continues, and new ones open.
    Open,
    /// It is fenced: the session continues; new ones open once the fence ends or is lifted from the running session.
    Fenced,
    /// It is blocked: the session is cut.
    Blocked,
}
use Outcome::{Blocked, Fenced, Free, Open};

/// The outcomes in each of [`MODES`] for a client that is not in the ignore file.
const OUTCOMES: [(Mistake, [Outcome; 7]); 6] = [
    (Mistypes, [Free, Open, Open, Open, Fenced, Fenced, Fenced]),
    (SendsDatagram, [Free, Open, Open, Open, Fenced, Fenced, Fenced]),
    (TriesThree, [Free, Open, Open, Open, Fenced, Fenced, Fenced]),
    (ScansHalfOpen, [Free, Open, Open, Free, Fenced, Free, Fenced]),
    (Scans, [Free, Blocked, Blocked, Blocked, Blocked, Blocked, Fenced]),
    (IsSpoofed, [Free, Open, Open, Open, Fenced, Fenced, Fenced]),
];

impl Mode {
    fn configuration(self, lab: &Lab) -> Portsentry<'_> {
        let setup = lab.portsentry(self.flags).without("PROOF_TRAPS").with("XDP_MODE", "generic");
        let setup = if self.is_armed {
            setup.with("BLOCK_TCP", "0").with("BLOCK_UDP", "0").with("BLOCK_TIME", "3600")
        } else {
            setup
        };
        self.settings.iter().fold(setup, |setup, (key, value)| setup.with(key, value))
    }
}

impl Mistake {
    fn happen(self, lab: &Lab, source: IpAddr) {
        let at = |port| SocketAddr::new(Family::of(source).host(), port);
        match self {
            Mistypes => drop(lab.scanner.connect_from(source, at(11), IMPATIENCE)),
            SendsDatagram => drop(Probe::udp(&lab.scanner, source, at(69))),
            TriesThree => {
                [7, 15, 79]
                    .into_iter()
                    .for_each(|port| drop(lab.scanner.connect_from(source, at(port), IMPATIENCE)));
            }
            ScansHalfOpen => drop(lab.nmap(source, &format!("-sS {PORTS}"))),
            Scans => drop(lab.nmap(source, &format!("-sT {PORTS}"))),
            IsSpoofed => {
                let wire = Wire::open(&lab.bystander);
                (0..3).for_each(|_| wire.probe(source));
                drop(Probe::udp(&lab.scanner, source, at(69)));
            }
        }
    }
}

/// Fails unless `session` of `source`, and new sessions, fare as in `outcome`.
fn assert_outcome(
    (sshd, daemon, outcome): (&Sshd, &Daemon<'_>, Outcome),
    (source, session): (IpAddr, &mut Session),
    what: &str,
) {
    let lab = daemon.lab();
    let log = || daemon.log().lines_about(source).join("\n");
    match outcome {
        Free => daemon.settle(),
        Open | Fenced => {
            daemon.wait_until(&format!("{what}: it is fenced"), || daemon.fenced().contains(&source));
        }
        Blocked => {
            daemon.wait_until(&format!("{what}: it is blocked"), || daemon.blocked().contains(&source));
        }
    }
    if outcome == Blocked {
        assert!(session.is_cut(), "{what}: the session continues");
    } else {
        assert!(session.lives(), "{what}: the session is cut\n{}", log());
        assert!(!daemon.blocked().contains(&source), "{what}: it is blocked\n{}", log());
    }
    if outcome == Free {
        assert!(!daemon.fenced().contains(&source), "{what}: it is fenced\n{}", log());
    }
    if [Blocked, Fenced].contains(&outcome) {
        assert!(sshd.rejects(lab, source), "{what}: a new session opens");
        assert_eq!(daemon.setup().say(&format!("unblock {source}")).code, 0);
        assert!(session.lives(), "{what}: the session is cut for good");
    }
    sshd.admits(lab, source).unwrap_or_else(|error| panic!("{what}: no new session: {error}\n{}", log()));
}

fn log_in(sshd: &Sshd, lab: &Lab, source: IpAddr) -> Session {
    sshd.log_in(lab, source, PATIENCE).unwrap_or_else(|error| panic!("{source} can't log in: {error}"))
}

fn arm(setup: &Portsentry<'_>, expected: &str) {
    let said = setup.say("setup --yes --confirmed");
    assert!(said.code == 0 && said.out.contains(expected), "{}{}", said.out, said.errors);
}

/// Routes the strangers' IPv6 addresses through the scanner.
fn route_strangers(lab: &Lab) {
    let router = Family::V6.member(2);
    lab.host.ip(&format!("route add 2001:db8:c11e::/48 via {router}"));
}

/// Returns an address that isn't in the /64 of another client: `portsentry setup` puts a client's /64 into the ignore
/// file.
fn stranger(lab: &Lab, family: Family, number: usize) -> IpAddr {
    if family == Family::V4 {
        return lab.source(family);
    }
    let network = u16::try_from(number).expect("a number");
    let source = IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0xc11e, network, 0, 0, 0, 1));
    lab.scanner.ip(&format!("address add {source}/128 nodad dev {INTERFACE}"));
    source
}

/// Tries every mistake of clients in the ignore file, and of others, in one mode.
fn try_mode(number: usize) {
    let mode = MODES[number];
    let lab = Lab::new();
    route_strangers(&lab);
    let sshd = Sshd::start(&lab);
    let setup = mode.configuration(&lab);
    let daemon = setup.start();
    let mistakes = || OUTCOMES.into_iter().zip(FAMILIES.into_iter().cycle().skip(number % 2));
    if mode.is_armed {
        let mut sessions: Vec<_> = mistakes()
            .map(|((mistake, _), family)| {
                let source = lab.source(family);
                (mistake, source, log_in(&sshd, &lab, source))
            })
            .collect();
        arm(&setup, "Armed.");
        for (mistake, source, session) in &mut sessions {
            mistake.happen(&lab, *source);
            let what = format!("{mode:?}: ignored {source}, {mistake:?}");
            assert_outcome((&sshd, &daemon, Free), (*source, session), &what);
        }
    }
    for (place, ((mistake, outcomes), family)) in mistakes().enumerate() {
        let source = stranger(&lab, family, place);
        let mut session = log_in(&sshd, &lab, source);
        mistake.happen(&lab, source);
        let what = format!("{mode:?}: {source}, {mistake:?}");
        assert_outcome((&sshd, &daemon, outcomes[number]), (source, &mut session), &what);
    }
}

#[test]
fn nothing_happens_to_a_session_while_observing() {
    try_mode(0);
}

#[test]
fn a_session_survives_where_listed_ports_are_watched() {
    try_mode(1);
}

#[test]
fn a_session_survives_where_all_ports_are_watched() {
    try_mode(2);
}

#[test]
fn a_session_survives_where_traps_accept_connections() {
    try_mode(3);
}

#[test]
fn a_session_survives_a_fence_that_drops() {
    try_mode(4);
}

#[test]
fn a_session_survives_traps_and_a_fence_that_drops() {
    try_mode(5);
}

#[test]
fn a_session_survives_where_nothing_can_be_proven() {
    try_mode(6);
}

/// Sends a request to the control socket, as a program of root's does.
fn ask(setup: &Portsentry<'_>, request: &str) -> Value {
    let mut stream = UnixStream::connect(setup.setting("CONTROL_SOCKET")).expect("a daemon");
    writeln!(stream, "{request}").expect("it is read");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn the_control_socket_blocks_no_peer_of_an_ssh_session() {
    let lab = Lab::new();
    let sshd = Sshd::start(&lab);
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    for family in FAMILIES {
        let peer = lab.source(family);
        let mut session = log_in(&sshd, &lab, peer);
        for addresses in [format!("\"{peer}\""), format!("\"198.51.100.9\",\"{peer}\"")] {
            let said = ask(&setup, &format!("{{\"v\":1,\"do\":\"block\",\"addresses\":[{addresses}]}}"));
            assert_eq!(said["error"]["code"], "refused", "{said}");
            let reason = format!("{peer} is the peer of an SSH session on this host");
            assert!(said["error"]["details"].to_string().contains(&reason), "{said}");
        }
        assert!(session.lives() && daemon.blocked().is_empty(), "{:?}", daemon.blocked());
        let forced = format!("{{\"v\":1,\"do\":\"block\",\"addresses\":[\"{peer}\"],\"force\":true}}");
        assert_eq!(ask(&setup, &forced)["ok"]["changed"], serde_json::json!([peer]));
        assert!(session.is_cut());
        assert_eq!(setup.say(&format!("unblock {peer}")).code, 0);
    }
    let gateway = lab.source(Family::V4);
    lab.host.ip(&format!("route add 203.0.113.0/24 via {gateway} dev eth0"));
    let network = "{\"v\":1,\"do\":\"block\",\"addresses\":[\"192.0.2.64/26\"]}";
    daemon.wait_until("the daemon knows the gateway", || {
        ask(&setup, network)["error"]["details"].to_string().contains(&format!("holds {gateway}, a gateway"))
    });
}

/// A guesser of passwords has an open connection, too, and is no administrator.
#[test]
fn a_client_that_has_not_logged_in_is_no_peer() {
    let lab = Lab::new();
    let _sshd = Sshd::start(&lab);
    let setup = OBSERVING.configuration(&lab);
    let daemon = setup.start();
    let guesser = lab.source(Family::V4);
    let at = SocketAddr::new(Family::of(guesser).host(), 22);
    let mut client = lab.scanner.connect_from(guesser, at, PATIENCE).expect("a connection");
    client.read_exact(&mut [0; 4]).expect("a greeting");
    arm(&setup, "Armed.");
    let ignored = std::fs::read_to_string(setup.path("IGNORE_FILE")).expect("an ignore file");
    assert!(!ignored.contains(&guesser.to_string()), "{ignored}");
    let said = setup.say(&format!("block {guesser}"));
    assert!(said.code == 0 && daemon.blocked().contains(&guesser), "{}{}", said.out, said.errors);
}

/// Settings under which scans that avoid traps are fenced, on a gateway that knows answers.
fn detecting(lab: &Lab) -> Portsentry<'_> {
    lab.portsentry("-stcp -sudp")
        .with("BLOCK_UNPROVEN", "0")
        .with("INTERFACES", "eth0")
        .with("PROTECTED_NETWORKS", "203.0.113.0/24")
        .with("ANSWERS", "observe")
        .with("SCAN_DETECTION", "fence")
        .with("SCAN_MEMORY", "1")
}

/// Fails if one of the sources, which have sent their last packet, is reported or held. A verdict that awaits answers
/// comes up to 18 seconds later, so a scanner shows that such verdicts come, and the daemon says that none is pending.
fn assert_unsuspected(daemon: &Daemon<'_>, sources: &[IpAddr]) {
    let lab = daemon.lab();
    let scanner = lab.source(Family::V4);
    let wire = Wire::mouth(&lab.scanner);
    for last in 100..112 {
        wire.send(&tcp(SYN).from(&format!("{scanner}:40000")).to(&format!("203.0.113.{last}:2323")));
    }
    daemon.wait_until("the scanner's verdict", || daemon.fenced().contains(&scanner));
    daemon.wait_until("no verdict is pending", || {
        ask(daemon.setup(), "{\"v\":1,\"do\":\"status\"}")["ok"]["awaited"] == 0
    });
    daemon.settle();
    let log = daemon.log().lines().join("\n");
    for source in sources {
        let told = daemon.log().lines_about(*source);
        assert!(!told.iter().any(|line| line.contains("Noted only (")), "{log}");
        assert!(!daemon.fenced().contains(source), "{log}");
    }
    assert_eq!(daemon.blocked(), Vec::<IpAddr>::new(), "{log}");
}

/// Many people behind one address use services here and behind this host. Some mistype, or follow a stale bookmark.
#[test]
fn an_office_behind_one_address_is_no_scanner() {
    const SERVICES: [u16; 3] = [2100, 2101, 2102];
    let lab = Lab::new();
    let behind = make_gateway(&lab);
    let own: Vec<Service> = SERVICES.map(|port| lab.serve_tcp(port)).into();
    let inside: Vec<Service> = SERVICES.map(|port| Service::start(&lab.bystander, Tcp, port)).into();
    let daemon = detecting(&lab).start();
    let office = lab.source(Family::V4);
    for round in 0..5 {
        for (own, inside) in own.iter().zip(&inside) {
            assert!(own.answers(&lab.scanner, office, Reach::Expected));
            assert!(inside.answers_at(&lab.scanner, office, behind, Reach::Expected));
        }
        let at = if round % 2 == 0 { Family::V4.host() } else { behind };
        drop(lab.scanner.connect_from(office, SocketAddr::new(at, 2200 + round), IMPATIENCE));
    }
    assert_unsuspected(&daemon, &[office]);
    assert!(own[0].answers(&lab.scanner, office, Reach::Expected));
}

/// A load balancer and its clients lose all services at once: their ports refuse until the other side takes over.
#[test]
fn clients_during_a_failover_are_no_scanners() {
    const SERVICES: [u16; 9] = [2100, 2101, 2102, 2103, 2104, 2105, 2106, 2107, 2108];
    let lab = Lab::new();
    let behind = make_gateway(&lab);
    let start = || SERVICES.map(|port| Service::start(&lab.bystander, Tcp, port));
    let services = start();
    let daemon = detecting(&lab).start();
    let [balancer, new] = [(); 2].map(|()| lab.source(Family::V4));
    for service in &services {
        assert!(service.answers_at(&lab.scanner, balancer, behind, Reach::Expected));
    }
    drop(services);
    for source in [balancer, balancer, new] {
        for port in SERVICES {
            drop(lab.scanner.connect_from(source, SocketAddr::new(behind, port), IMPATIENCE));
        }
    }
    assert_unsuspected(&daemon, &[balancer, new]);
    for service in &start() {
        assert!(service.answers_at(&lab.scanner, balancer, behind, Reach::Expected));
    }
}
