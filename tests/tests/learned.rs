//! What other hosts' answers teach: kernel program, model and oracle agree on sequences of questions and answers, and
//! the rules hold in a few stories.

use std::{collections::BTreeSet, net::SocketAddr};

use fastrand::Rng;
use portsentry_common::{
    classify::Protocol::{self, Tcp, Udp},
    settings::{Answers, Response, Settings},
};
use portsentry_tests::{
    frames::{ACK, Layer, Packet, RST, SYN, protocol, tcp, udp},
    judges::Judges,
    namespace::with_sockets,
    outcome::Outcome,
    scenario::{Scenario, learning},
    test_host,
};

/// A client's question to a port.
#[derive(Clone, Copy, Debug)]
struct Question {
    protocol: Protocol,
    client: SocketAddr,
    host: SocketAddr,
}

impl Question {
    fn packet(&self) -> Packet {
        let packet = if self.protocol == Tcp { tcp(SYN) } else { udp() };
        packet.from(&self.client.to_string()).to(&self.host.to_string())
    }

    fn segment(&self, flags: u8, sequence: u32) -> Vec<u8> {
        let packet = tcp(flags).numbers(sequence, 1);
        packet.from(&self.host.to_string()).to(&self.client.to_string()).frame(0)
    }

    fn reply(&self) -> Vec<u8> {
        udp().from(&self.host.to_string()).to(&self.client.to_string()).frame(0)
    }

    /// A segment of an established connection.
    fn data(&self) -> Vec<u8> {
        self.segment(ACK, 8)
    }

    /// An ICMP error that quotes the question.
    fn error(&self, kind: u8, code: u8) -> Vec<u8> {
        const ETHERNET: usize = 14;
        let quoted = self.packet().frame(0).split_off(ETHERNET);
        let number = if self.host.is_ipv4() { 1 } else { 58 };
        let packet = protocol(number).from(&self.host.to_string()).to(&self.client.to_string());
        let packet = packet.payload(8 + quoted.len()).with(Layer::Transport, 0, &[kind, code]);
        packet.with(Layer::Transport, 8, &quoted).frame(0)
    }

    fn unreachable(&self) -> Vec<u8> {
        if self.host.is_ipv4() { self.error(3, 3) } else { self.error(1, 4) }
    }

    /// An answer of any kind.
    fn answer(&self, random: &mut Rng) -> Vec<u8> {
        match random.u8(..10) {
            0..3 => self.segment(SYN | ACK, 7),
            3..6 => self.segment(RST | ACK, 0),
            6 => self.segment(RST | ACK, 9),
            7 => self.unreachable(),
            8 => self.error(3, 1),
            _ => self.reply(),
        }
    }
}

fn ask(judges: &mut Judges, question: &Question) -> Outcome {
    judges.judge(&question.packet().frame(0), question)
}

fn end(text: &str) -> SocketAddr {
    text.parse().expect("an address and port")
}

/// Clients: strangers, two of one IPv6 network, and an ignored one.
const CLIENTS: [&str; 6] = [
    "192.0.2.61",
    "192.0.2.62",
    "192.0.2.241",
    "[2001:db8:bad::1]",
    "[2001:db8:bad::2]",
    "[2001:db8:bae::1]",
];
/// Hosts: protected ones, this host, and somebody else's.
const HOSTS: [&str; 6] =
    ["203.0.113.9", "203.0.113.10", "198.51.100.2", "198.51.100.99", "[2001:db8:100::9]", "[2001:db8::2]"];
/// A listed port, an excluded one, and unlisted ones.
const PORTS: [u16; 12] = [23, 113, 520, 2000, 2001, 2002, 2003, 2004, 2005, 2006, 2007, 2008];

fn sequence(random: &mut Rng, scenario: &Scenario) -> BTreeSet<&'static str> {
    const STEPS: u16 = 400;
    let mut judges = Judges::new(scenario);
    let (mut asked, mut reached) = (Vec::new(), BTreeSet::new());
    for number in 0..STEPS {
        if asked.is_empty() || random.u8(..5) < 3 {
            let client = random.choice(CLIENTS).expect("a client");
            let of_family = |host: &&&str| host.starts_with('[') == client.starts_with('[');
            let hosts: Vec<_> = HOSTS.iter().filter(of_family).collect();
            let host = random.choice(&hosts).expect("a host");
            let question = Question {
                protocol: if random.u8(..4) == 0 { Udp } else { Tcp },
                // Each from another port.
                client: end(&format!("{client}:{}", 40_000 + number)),
                host: end(&format!("{host}:{}", random.choice(PORTS).expect("a port"))),
            };
            reached.extend(ask(&mut judges, &question).counted.into_keys());
            asked.push(question);
        } else {
            let latest = asked.len().saturating_sub(6);
            let at = random.usize(latest..asked.len());
            let question = asked[at];
            let is_forwarded = random.u8(..8) != 0;
            if question.protocol == Tcp && random.u8(..5) == 0 {
                // Once for each flow: the kernel program looks at no flow twice in a moment.
                asked.remove(at);
                reached.extend(judges.leave(&question.data(), is_forwarded).1);
            } else {
                reached.extend(judges.leave(&question.answer(random), is_forwarded).1);
            }
        }
    }
    reached
}

#[test]
fn sequences_of_questions_and_answers_are_judged_alike() {
    const SEED: u64 = 23;
    type Change = fn(&mut Settings);
    let changes: [(&str, Change); 9] = [
        ("answers decide", |_| {}),
        ("they are observed", |settings| settings.answers = Answers::Observe as u8),
        ("they are not seen", |settings| settings.answers = Answers::Off as u8),
        ("the first failure fences", |settings| settings.failed_connections = 1),
        ("TCP is only reported", |settings| settings.tcp_response = Response::Report as u8),
        ("nothing is fenced", |settings| settings.fence_ns = 0),
        ("IPv6 sources are fenced by their /64", |settings| *settings = settings.held_by(64)),
        ("the daemon is long dead", |settings| settings.open_after_ns = 1),
        ("probes are challenged", |settings| settings.challenge_rate = u32::MAX),
    ];
    let (mut random, mut reached) = (Rng::with_seed(SEED), BTreeSet::new());
    for (what, change) in changes {
        let scenario = Scenario::with(|settings| {
            learning(settings);
            change(settings);
        });
        println!("{what}");
        with_sockets(&test_host::sockets(), || reached.extend(sequence(&mut random, &scenario)));
    }
    let learned =
        ["learned_served", "learned_refused", "failed_connections", "over_failures", "withheld", "served"];
    assert!(learned.iter().all(|counter| reached.contains(counter)), "{reached:?}");
}

const CLIENT: &str = "192.0.2.61";
const OTHER: &str = "192.0.2.62";

fn syn(client: &str, port: u16, host: &str) -> Question {
    Question { protocol: Tcp, client: end(&format!("{client}:{port}")), host: end(host) }
}

/// Runs a story with answers that decide; three failures fence.
fn story(tell: impl FnOnce(&mut Judges) + Send) {
    with_sockets(&test_host::sockets(), || tell(&mut Judges::new(&Scenario::with(learning))));
}

fn passes(outcome: &Outcome) -> bool {
    outcome.action == portsentry_common::judge::Action::Pass
}

/// The host refuses a connection of `client`.
fn refuse(judges: &mut Judges, client: &str, host: &str) -> bool {
    let question = syn(client, 40_000, host);
    ask(judges, &question);
    judges.leave(&question.segment(RST | ACK, 0), true).0
}

/// A connection is established, and the host sends something.
fn connect(judges: &mut Judges, client: &str, host: &str) -> bool {
    let is_accepted = accept(judges, client, host);
    judges.leave(&syn(client, 40_001, host).data(), true);
    is_accepted
}

fn accept(judges: &mut Judges, client: &str, host: &str) -> bool {
    let question = syn(client, 40_001, host);
    passes(&ask(judges, &question)) && judges.leave(&question.segment(SYN | ACK, 7), true).0
}

#[test]
fn refused_connections_fence_and_then_no_answer_leaves() {
    story(|judges| {
        assert!(refuse(judges, CLIENT, "203.0.113.9:2000"));
        assert!(refuse(judges, CLIENT, "203.0.113.9:2001"));
        let in_flight = syn(CLIENT, 50_000, "203.0.113.9:2003");
        ask(judges, &in_flight);
        assert!(!refuse(judges, CLIENT, "203.0.113.9:2002"), "the third refusal is withheld");
        let (leaves, counted) = judges.leave(&in_flight.segment(RST | ACK, 0), true);
        assert!(!leaves && counted.contains(&"withheld"));
        let fenced = ask(judges, &syn(CLIENT, 50_001, "203.0.113.10:2000"));
        assert!(!passes(&fenced) && fenced.counted.contains_key("fenced"), "{fenced:?}");
        assert!(accept(judges, OTHER, "203.0.113.9:2009"), "another client is not affected");
    });
}

#[test]
fn refused_ports_are_traps_for_the_next_scanner() {
    story(|judges| {
        for port in 2000..2006 {
            assert!(refuse(judges, &format!("192.0.2.{}", port - 1930), &format!("203.0.113.9:{port}")));
        }
        for port in 2000..2006 {
            let outcome = ask(judges, &syn(CLIENT, 50_000, &format!("203.0.113.9:{port}")));
            assert_eq!(passes(&outcome), port < 2005, "before any answer each counts half: {port}");
        }
    });
}

#[test]
fn a_new_service_acquits_its_first_client() {
    story(|judges| {
        assert!(refuse(judges, OTHER, "203.0.113.9:2000"));
        assert!(accept(judges, CLIENT, "203.0.113.9:2000"), "it is reached at the first try");
        for port in [2001, 2002] {
            assert!(refuse(judges, CLIENT, &format!("203.0.113.9:{port}")), "no failure is left: {port}");
        }
    });
}

/// A client of several new services asks for all of them before the first answer.
#[test]
fn new_services_acquit_their_first_client_together() {
    story(|judges| {
        let asked: Vec<_> =
            (2000..2005).map(|port| syn(CLIENT, port, &format!("203.0.113.9:{port}"))).collect();
        for question in &asked {
            assert!(refuse(
                judges,
                &format!("192.0.2.{}", question.host.port() - 1930),
                &question.host.to_string()
            ));
        }
        assert!(asked.iter().all(|question| passes(&ask(judges, question))));
        for question in &asked {
            assert!(judges.leave(&question.segment(SYN | ACK, 7), true).0, "{question:?}");
        }
        for port in [2010, 2011] {
            assert!(refuse(judges, CLIENT, &format!("203.0.113.9:{port}")), "no failure is left: {port}");
        }
    });
}

/// Sites without a service among many with one: a crawler's.
#[test]
fn a_client_of_many_services_may_fail_more_often() {
    story(|judges| {
        assert!(refuse(judges, CLIENT, "203.0.113.9:2000"));
        for port in 3000..3010 {
            assert!(connect(judges, CLIENT, &format!("203.0.113.10:{port}")));
        }
        let left: Vec<_> =
            (2001..2006).map(|port| refuse(judges, CLIENT, &format!("203.0.113.9:{port}"))).collect();
        assert_eq!(left, [true, true, true, true, false], "three more than were taken off");
    });
}

/// A scanner of a port that most hosts serve completes no connection.
#[test]
fn half_open_connections_take_few_failures_off() {
    story(|judges| {
        let left: Vec<_> = (0..6)
            .map(|round| {
                accept(judges, CLIENT, &format!("203.0.113.10:{}", 3000 + round));
                refuse(judges, CLIENT, &format!("203.0.113.9:{}", 2000 + round))
            })
            .collect();
        assert_eq!(left, [true, true, true, true, false, false]);
    });
}

#[test]
fn a_service_that_stops_accuses_no_client() {
    story(|judges| {
        for port in 2000..2008 {
            assert!(accept(judges, OTHER, &format!("203.0.113.9:{port}")));
        }
        for port in 2000..2008 {
            assert!(refuse(judges, CLIENT, &format!("203.0.113.9:{port}")), "{port}");
        }
    });
}

#[test]
fn served_ports_take_failures_off() {
    story(|judges| {
        for round in 0..8 {
            assert!(refuse(judges, CLIENT, &format!("203.0.113.9:{}", 2000 + round)));
            assert!(connect(judges, CLIENT, &format!("203.0.113.10:{}", 3000 + round)));
        }
        let mut judge = |port| refuse(judges, CLIENT, &format!("203.0.113.9:{port}"));
        assert!(judge(2100) && judge(2101) && !judge(2102));
    });
}

#[test]
fn nobody_is_framed_by_answers_that_were_not_asked_for() {
    story(|judges| {
        for port in 2000..2020 {
            let question = syn(CLIENT, 40_000, &format!("203.0.113.9:{port}"));
            for answer in [question.segment(RST | ACK, 0), question.unreachable()] {
                assert_eq!(judges.leave(&answer, true), (true, Vec::new()));
            }
        }
        // Neither by this host's own answers, nor by dead hosts.
        for port in 2020..2040 {
            let question = syn(CLIENT, 40_000, &format!("203.0.113.9:{port}"));
            assert!(passes(&ask(judges, &question)));
            assert!(judges.leave(&question.segment(RST | ACK, 0), false).0);
            assert!(judges.leave(&question.error(3, 1), true).0);
        }
        assert!(accept(judges, CLIENT, "203.0.113.9:2050"));
    });
}

#[test]
fn a_listed_port_that_has_answered_is_no_trap() {
    const LISTED: &str = "203.0.113.9:8080";
    story(|judges| {
        // An ignored client shows the service.
        let question = syn("192.0.2.241", 40_000, LISTED);
        ask(judges, &question);
        assert!(judges.leave(&question.segment(SYN | ACK, 7), true).0);
        let outcome = ask(judges, &syn(CLIENT, 40_000, LISTED));
        assert!(passes(&outcome) && outcome.counted.contains_key("served"), "{outcome:?}");
        let probe = ask(judges, &syn(CLIENT, 40_000, "203.0.113.10:8080"));
        assert!(!passes(&probe), "the same port of another host is a trap: {probe:?}");
    });
}
