//! `portsentry explain` against what the kernel program then does with such a packet.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use portsentry_tests::{
    frames::{ACK, Checksum, FIN, PSH, Packet, SYN, URG, tcp, udp},
    lab::{Daemon, Family, INTERFACE, Lab, Segment, Wire, dump, stranger},
};
use serde_json::Value;

/// Source port of every packet.
const SOURCE_PORT: u16 = 41_000;
/// Maps that no explanation may change.
const MAPS: [&str; 8] =
    ["BLOCKED_V4", "BLOCKED_V6", "FENCED_V4", "FENCED_V6", "SOURCES", "HANDSHAKES", "RECENT", "STEERED"];

/// The kind of a packet: TCP with these control bits, or a datagram.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Tcp(u8),
    Udp,
}

const A_SYN: Kind = Kind::Tcp(SYN);

type Counters = BTreeMap<String, u64>;

fn counters(daemon: &Daemon<'_>) -> Counters {
    let status = daemon.setup().say("status --json").json();
    let counters = status["maps"]["counters"].as_object().expect("counters").iter();
    counters.map(|(name, count)| (name.clone(), count.as_u64().expect("a count"))).collect()
}

/// Returns the entries of a map. The daemon may mark them as mirrored at any time.
fn entries(map: &Path) -> Vec<Value> {
    let mut entries: Vec<Value> = dump(map).into_iter().map(|entry| entry["formatted"].clone()).collect();
    for value in entries.iter_mut().filter_map(|entry| entry["value"].as_object_mut()) {
        value.remove("mirrored");
    }
    entries
}

/// Asks for an explanation, and asserts that this changed nothing.
fn explain(daemon: &Daemon<'_>, source: IpAddr, to: SocketAddr, kind: Kind) -> Value {
    let state = || {
        let maps: Vec<_> = MAPS.iter().map(|name| entries(&daemon.pins().join(name))).collect();
        (counters(daemon), maps)
    };
    let before = state();
    let packet = match kind {
        Kind::Udp => format!("{}/udp", to.port()),
        Kind::Tcp(flags) => {
            let names = ["fin", "syn", "rst", "psh", "ack", "urg"].iter().enumerate();
            let names: Vec<_> =
                names.filter(|(bit, _)| flags >> bit & 1 == 1).map(|(_, name)| *name).collect();
            let flags = if names.is_empty() { "none".into() } else { names.join(",") };
            format!("{} --flags {flags}", to.port())
        }
    };
    let words = format!(
        "explain {source} {packet} --to {} --source-port {SOURCE_PORT} --on {INTERFACE} --json",
        to.ip()
    );
    let said = daemon.setup().say(&words);
    assert_eq!((said.code, said.errors.as_str()), (0, ""), "{words}");
    assert!(state() == before, "{words} changed something: {:#?}", (before, state()));
    said.json()
}

fn packet(source: IpAddr, to: SocketAddr, kind: Kind) -> Packet {
    let packet = match kind {
        // With a maximum segment size, as every system sends.
        Kind::Tcp(SYN) => tcp(SYN).tcp_options(&[2, 4, 5, 0xb4]).checksum(Checksum::Right),
        Kind::Tcp(flags) => tcp(flags).checksum(Checksum::Right),
        Kind::Udp => udp(),
    };
    packet.from(&SocketAddr::new(source, SOURCE_PORT).to_string()).to(&to.to_string())
}

/// Returns what the kernel program did, as action and outcome, according to the counters.
fn done(counted: impl Fn(&str) -> u64) -> (&'static str, &'static str) {
    let is = |name: &str| counted(name) > 0;
    let action = if is("answered") {
        "answer"
    } else if ["dropped", "dropped_fenced", "dropped_probes"].iter().any(|name| is(name)) {
        "drop"
    } else {
        "pass"
    };
    let outcome = if is("dropped") {
        "blocked"
    } else if is("blocked") {
        "blocks"
    } else if is("fenced") {
        "fences"
    } else if is("dropped_fenced") || is("answered") {
        "fenced"
    } else if is("passed_fenced") {
        "fenced_passes"
    } else if is("served") {
        "served"
    } else if is("steered") {
        "trapped"
    } else if is("ignored") {
        "ignored"
    } else if is("probes") {
        "probed"
    } else {
        "passes"
    };
    (action, outcome)
}

/// Sends packets to the host of a lab, and reads from the counters what became of them.
struct Trial<'lab> {
    daemon: &'lab Daemon<'lab>,
    wire: Wire,
    /// An ignored source, whose probe shows that the packet before it has been judged.
    marker: IpAddr,
}

impl<'lab> Trial<'lab> {
    /// The daemon must ignore `marker`.
    fn new(lab: &Lab, daemon: &'lab Daemon<'lab>, marker: IpAddr) -> Self {
        Self { daemon, wire: Wire::open(&lab.scanner), marker }
    }

    /// Asserts that the explanation names the expected outcome, and that a real packet has the same one. Returns the
    /// explanation.
    fn agrees(&self, what: &str, source: IpAddr, to: SocketAddr, kind: Kind, expected: &str) -> Value {
        let told = explain(self.daemon, source, to, kind);
        assert_eq!(told["outcome"], expected, "{what}: {told:#}");
        let before = counters(self.daemon);
        self.wire.send(&packet(source, to, kind));
        self.wire.send(&packet(self.marker, SocketAddr::new(Family::V4.host(), 161), Kind::Udp));
        let own = u64::from(told["outcome"] == "ignored");
        self.daemon.wait_until("the packet is judged", || {
            counters(self.daemon)["ignored"] > before["ignored"] + own
        });
        let after = counters(self.daemon);
        // Without the marker.
        let counted = |name: &str| {
            let marker = u64::from(["probes", "ignored"].contains(&name));
            (after[name] - before[name]).saturating_sub(marker)
        };
        let outcome = match expected {
            "counted" | "reported" | "noticed" => "probed",
            other => other,
        };
        assert_eq!(done(counted), (told["action"].as_str().expect("a word"), outcome), "{what}: {told:#}");
        told
    }

    /// Completes the handshake that the program offered to `source`.
    fn shake(&self, source: IpAddr, to: SocketAddr) {
        let ends = (to, SocketAddr::new(source, SOURCE_PORT));
        let is_answer = |segment: &Segment| (segment.source, segment.destination) == ends && segment.tcp.ack;
        let answer = self.wire.expect("an answer", is_answer).tcp;
        let numbers = [answer.acknowledgment_number, answer.sequence_number.wrapping_add(1)];
        self.wire.send(&packet(source, to, Kind::Tcp(ACK)).numbers(numbers[0], numbers[1]));
    }
}

fn says(told: &Value, list: &str, text: &str) -> bool {
    let lines = told[list].as_array().expect("lines");
    lines.iter().any(|line| line.as_str().is_some_and(|line| line.contains(text)))
}

#[test]
fn a_packet_has_the_outcome_that_was_explained() {
    let lab = Lab::new();
    let _service = lab.serve_tcp(8080);
    let _datagrams = lab.serve_udp(513);
    let (marker, ignored) = (lab.source(Family::V4), lab.source(Family::V4));
    let setup = lab
        .portsentry("-stcp -sudp")
        .with("TCP_PORTS", "1,7,11,79,111,8080")
        .with("REPEAT_WINDOW", "0")
        .ignoring(format!("{marker}\n# a colleague\n{ignored}"));
    let daemon = setup.start();
    let trial = Trial::new(&lab, &daemon, marker);
    let address = |family: Family, port| SocketAddr::new(family.host(), port);
    for family in [Family::V4, Family::V6] {
        let [one, two, three, four, five] = [(); 5].map(|()| lab.source(family));
        let at = |port| address(family, port);
        for (what, source, to, kind, expected) in [
            ("an unwatched port", one, at(8443), A_SYN, "passes"),
            ("a service on a watched port", one, at(8080), A_SYN, "served"),
            ("a datagram to a service", one, at(513), Kind::Udp, "served"),
            ("another host", one, SocketAddr::new(family.bystander(), 11), A_SYN, "passes"),
            ("an answer", one, at(11), Kind::Tcp(SYN | ACK), "passes"),
            ("an acknowledgement outside any connection", one, at(11), Kind::Tcp(ACK), "noticed"),
            ("a trap", one, at(11), A_SYN, "blocks"),
            ("the same source again", one, at(8080), A_SYN, "blocked"),
            ("a datagram to a trap", two, at(69), Kind::Udp, "blocks"),
            ("a Christmas tree", three, at(7), Kind::Tcp(FIN | PSH | URG), "blocks"),
            ("no flag", four, at(79), Kind::Tcp(0), "blocks"),
            ("odd flags to a service", five, at(8080), Kind::Tcp(SYN | FIN), "served"),
        ] {
            trial.agrees(what, source, to, kind, expected);
        }
    }
    let told = trial.agrees("an ignored source", ignored, address(Family::V4, 11), A_SYN, "ignored");
    let line = format!("portsentry.ignore:3 ignores {ignored}");
    assert!(says(&told, "because", &line), "{told:#}");

    // Blocked by an administrator, alone and with a network that holds an exempt address.
    let source = lab.source(Family::V4);
    assert_eq!(setup.say(&format!("block {source} --reason nightly")).code, 0);
    let told = trial.agrees("an administrator's block", source, address(Family::V4, 8443), A_SYN, "blocked");
    let id = setup.entry("list --json", source).expect("an entry")["id"].clone();
    assert!(says(&told, "because", &format!("id {}", id.as_str().expect("an id"))), "{told:#}");
    assert_eq!(setup.say("block 198.18.0.0/24").code, 0);
    let inside = stranger(6);
    let told = trial.agrees("a blocked network", inside, address(Family::V4, 8443), A_SYN, "blocked");
    assert!(says(&told, "because", "198.18.0.0/24 is blocked"), "{told:#}");
}

#[test]
fn probes_are_counted_up_to_the_trigger_as_explained() {
    let lab = Lab::new();
    let marker = lab.source(Family::V4);
    let setup = lab.portsentry("-stcp -sudp").with("SCAN_TRIGGER", "3").ignoring(marker);
    let daemon = setup.start();
    let trial = Trial::new(&lab, &daemon, marker);
    for family in [Family::V4, Family::V6] {
        let source = lab.source(family);
        for (port, hits, expected) in
            [(1, 1, "counted"), (1, 1, "counted"), (7, 2, "counted"), (11, 3, "blocks")]
        {
            let told = trial.agrees("a probe", source, SocketAddr::new(family.host(), port), A_SYN, expected);
            assert!(says(&told, "because", &format!("distinct probe {hits} of {source}")), "{told:#}");
        }
    }
    // What is only observed is only reported.
    setup.clone().with("BLOCK_TCP", "0").write();
    assert_eq!(setup.say("reload").code, 0);
    let source = lab.source(Family::V4);
    for (port, expected) in [(1, "counted"), (7, "counted"), (11, "reported")] {
        trial.agrees("a probe", source, SocketAddr::new(Family::V4.host(), port), A_SYN, expected);
    }
}

#[test]
fn handshakes_of_a_fenced_source_prove_it_as_explained() {
    for fence in ["drop", "open"] {
        let lab = Lab::new();
        let service = lab.serve_tcp(8080);
        let marker = lab.source(Family::V4);
        let setup = lab
            .portsentry("-stcp -sudp")
            .with("BLOCK_UNPROVEN", "0")
            .with("CHALLENGE", "1")
            .with("PROOF_TRAPS", "2")
            .with("FENCE", fence)
            .ignoring(marker);
        let daemon = setup.start();
        let trial = Trial::new(&lab, &daemon, marker);
        for family in [Family::V4, Family::V6] {
            // No system answers the program's answers to such a source with an RST.
            let source = stranger(if family == Family::V4 { 20 } else { 21 });
            lab.host.ip(&format!("route add {source} dev {INTERFACE}"));
            let at = |port| SocketAddr::new(family.host(), port);
            let told = trial.agrees("a first SYN", source, at(11), A_SYN, "fences");
            assert_eq!(told["action"], "answer", "{told:#}");
            assert!(says(&told, "next", "trap 1 of 2") && says(&told, "next", "stays fenced"), "{told:#}");
            trial.agrees("a fenced source's datagram", source, at(69), Kind::Udp, "fenced");
            trial.shake(source, at(11));
            daemon.wait_until("the handshake is counted", || counters(&daemon)["proven"] > 0);

            // Dropped by the closed fence, answered by the open one; without Linux 6.9 the SYN reaches the service.
            let told = explain(&daemon, source, at(8080), A_SYN);
            let passes = fence == "open" && told["action"] == "pass";
            let expected = if passes { "fenced_passes" } else { "fenced" };
            let told = trial.agrees("a service", source, at(8080), A_SYN, expected);
            assert_eq!(told["action"] == "drop", fence == "drop", "{told:#}");
            if told["action"] == "answer" {
                assert!(says(&told, "next", "reaches the service"), "{told:#}");
            }
            let told = trial.agrees("a second trap", source, at(79), A_SYN, "fenced");
            assert!(says(&told, "next", "trap 2 of 2") && says(&told, "next", "is blocked"), "{told:#}");
            trial.shake(source, at(79));
            daemon.wait_until("it is blocked", || daemon.blocked().contains(&source));
            trial.agrees("a blocked source", source, at(8080), A_SYN, "blocked");
        }
        service.assert_open_to_bystander(&lab);
    }
}

#[test]
fn networks_traps_and_interfaces_are_explained() {
    let lab = Lab::new();
    let marker = lab.source(Family::V4);
    let setup = lab.portsentry("-tcp -sudp").with("IPV6_PREFIX", "64").ignoring(marker);
    let daemon = setup.start();
    let trial = Trial::new(&lab, &daemon, marker);
    let at = |family: Family, port| SocketAddr::new(family.host(), port);
    let told =
        trial.agrees("a trap that accepts", lab.source(Family::V4), at(Family::V4, 11), A_SYN, "trapped");
    assert!(says(&told, "next", "trap 1 of 1"), "{told:#}");
    // A whole network is blocked for one of its hosts.
    let [one, other] =
        ["2001:db8:bad::1", "2001:db8:bad::2"].map(|address| address.parse().expect("an address"));
    let told = trial.agrees("a datagram", one, at(Family::V6, 69), Kind::Udp, "blocks");
    assert!(says(&told, "because", "2001:db8:bad::/64 is blocked"), "{told:#}");
    let told = trial.agrees("a neighbour of it", other, at(Family::V6, 8443), A_SYN, "blocked");
    assert!(says(&told, "because", "2001:db8:bad::/64 is blocked since"), "{told:#}");

    let told = setup.say("explain 192.0.2.9 11 --on lo --json").json();
    assert_eq!((&told["outcome"], &told["action"]), (&"unwatched".into(), &"pass".into()), "{told:#}");
    let said = setup.say("explain 192.0.2.9 11");
    assert!(
        said.out.starts_with("packet    TCP SYN from 192.0.2.9:40000 to 192.0.2.1:11 on eth0\n"),
        "{}",
        said.out
    );
    assert!(said.out.contains("\noutcome   passes: the daemon accepts it at a trap\n"), "{}", said.out);
    for (words, problem) in [
        ("explain 192.0.2.9 11 --on nowhere", "there is no interface nowhere"),
        ("explain 192.0.2.9 11 --to 2001:db8::1", "different IP versions"),
    ] {
        let said = setup.say(words);
        assert!(said.code == 1 && said.errors.contains(problem), "{words}: {}", said.errors);
    }
    // The kernel program is explained without a daemon, too, and by its own settings.
    daemon.kill();
    setup.clone().with("BLOCK_TCP", "0").with("TCP_PORTS", "1").write();
    let told = setup.say("explain 192.0.2.9 69/udp --json").json();
    assert_eq!(told["outcome"], "blocks", "{told:#}");
    assert_eq!(setup.say("down").code, 0);
    let told = setup.say("explain 192.0.2.9 69/udp --json").json();
    assert_eq!(told["outcome"], "unwatched", "{told:#}");
}
