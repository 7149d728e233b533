//! Real scanners against a host that requires proof. A source that completes a handshake is blocked. Any other is
//! fenced at once and learns nothing more. A reset proves nothing. The host is behind a router.

use std::{
    net::{IpAddr, SocketAddr},
    thread,
};

use nix::sys::signal::Signal;
use portsentry_tests::{
    frames::{ACK, Layer, PSH, Packet, SYN, tcp},
    lab::{Daemon, FAMILIES, Family, Lab, Portsentry, Reach, Segment, Wire, remove_pins},
};

const TRAP: u16 = 11;
const SERVICE: u16 = 8080;
/// A port that is neither watched nor served.
const CLOSED: u16 = 8081;

/// Returns a configuration that requires proof.
fn asking(lab: &Lab) -> Portsentry<'_> {
    let portsentry = lab.portsentry("-stcp -sudp").with("BLOCK_UNPROVEN", "0").with("CHALLENGE", "1");
    portsentry.with("XDP_MODE", "generic")
}

fn assert_proven(daemon: &Daemon<'_>, source: IpAddr, what: &str) {
    daemon
        .log()
        .wait_for(&format!("Host {source} has been blocked in the kernel (proof: completed handshake)"));
    daemon.wait_for_block(source);
    assert!(daemon.blocked().contains(&source), "{what}: {source} isn't blocked");
    assert!(!daemon.fenced().contains(&source), "{what}: {source} is still fenced");
    let is_recorded =
        || daemon.file_about("BLOCKED_FILE", source).iter().any(|line| line.ends_with(" Blocked"));
    daemon.wait_until("the blocked file has it", is_recorded);
}

fn assert_fenced(daemon: &Daemon<'_>, source: IpAddr, what: &str) {
    daemon.log().wait_for(&format!("Host {source} has been fenced for"));
    assert!(daemon.fenced().contains(&source), "{what}: {source} isn't fenced");
    assert!(!daemon.blocked().contains(&source), "{what}: {source} is blocked without proof");
}

/// Returns the state of a port according to nmap.
fn state(found: &str, port: u16) -> String {
    let at = found.find(&format!(" {port}/")).unwrap_or_else(|| panic!("{port} isn't in {found}"));
    found[at..].split('/').nth(1).unwrap_or_default().to_owned()
}

fn client(source: IpAddr, port: u16, trap: SocketAddr, flags: u8) -> Packet {
    tcp(flags).from(&SocketAddr::new(source, port).to_string()).to(&trap.to_string())
}

fn acknowledging(packet: Packet, answer: &Segment) -> Packet {
    let next = answer.tcp.acknowledgment_number.to_be_bytes();
    let acknowledged = answer.tcp.sequence_number.wrapping_add(1).to_be_bytes();
    packet.with(Layer::Transport, 4, &next).with(Layer::Transport, 8, &acknowledged)
}

fn is_answer_to(port: u16) -> impl Fn(&Segment) -> bool {
    move |segment| segment.destination.port() == port && segment.tcp.syn && segment.tcp.ack
}

#[test]
fn a_source_that_completes_a_handshake_is_blocked() {
    let lab = Lab::routed();
    let service = lab.serve_tcp(SERVICE);
    let daemon = asking(&lab).start();
    for family in FAMILIES {
        let source = lab.source(family);
        lab.nmap(source, "-sT -p 11");
        assert_proven(&daemon, source, "nmap -sT");
        assert!(!service.answers(&lab.scanner, source, Reach::Unexpected), "{source} is dropped");
    }
    for family in FAMILIES {
        let source = lab.source(family);
        let connected = lab.scanner.enter(|| {
            let socket = socket2::Socket::new(
                socket2::Domain::for_address(SocketAddr::new(source, 0)),
                socket2::Type::STREAM,
                None,
            )?;
            socket.bind(&SocketAddr::new(source, 0).into())?;
            socket.connect(&SocketAddr::new(family.host(), TRAP).into())
        });
        connected.expect("a trap looks open");
        assert_proven(&daemon, source, "connect()");
    }
    let masscan = lab.source(Family::V4);
    lab.masscan(masscan, "-p11 --banners --wait 2");
    assert_proven(&daemon, masscan, "masscan --banners");
    service.assert_open_to_bystander(&lab);
}

#[test]
fn a_worm_that_makes_its_own_segments_is_blocked() {
    let lab = Lab::routed();
    let daemon = asking(&lab).start();
    let wire = Wire::open(&lab.scanner);
    for family in FAMILIES {
        // The scanner's system doesn't know the connection and resets it, which must not help the worm.
        let source = lab.source(family);
        let trap = SocketAddr::new(family.host(), TRAP);
        wire.send(&client(source, 31_337, trap, SYN));
        let answer = wire.expect("the answer", is_answer_to(31_337));
        assert!(answer.is_sound, "{answer:?}");
        assert_fenced(&daemon, source, "a SYN alone");
        wire.send(&acknowledging(client(source, 31_337, trap, ACK | PSH).payload(40), &answer));
        assert_proven(&daemon, source, "SYN and ACK");
    }
}

#[test]
fn a_source_that_completes_none_is_fenced_and_learns_nothing() {
    let lab = Lab::routed();
    let services = [lab.serve_tcp(SERVICE), lab.serve_udp(SERVICE)];
    let daemon = asking(&lab).start();
    for family in FAMILIES {
        for (words, trap) in [("-sS", 11), ("-sF", 11), ("-sN", 11), ("-sX", 11), ("-sU --data-length 5", 69)]
        {
            let before = lab.nmap(lab.source(family), &format!("{words} -r -p {SERVICE},{CLOSED}"));
            assert_ne!(state(&before, SERVICE), state(&before, CLOSED), "{words} tells them apart: {before}");
            let source = lab.source(family);
            let found = lab.nmap(source, &format!("{words} -r -p {trap},{SERVICE},{CLOSED}"));
            assert_fenced(&daemon, source, words);
            assert_eq!(state(&found, SERVICE), state(&found, CLOSED), "{words}: {found}");
        }
    }
    services.iter().for_each(|service| service.assert_open_to_bystander(&lab));
}

#[test]
fn masscan_and_zmap_are_fenced_and_learn_nothing() {
    let lab = Lab::routed();
    let _service = lab.serve_tcp(SERVICE);
    let daemon = asking(&lab).start();
    let zmap = |source: IpAddr, port: u16| {
        let (source, port) = (source.to_string(), port.to_string());
        let host = Family::V4.host().to_string();
        let mut words = vec!["-q", "-p", &port, "-S", &source, "-i", "eth0", "-b", "/dev/null"];
        words.extend(["-G", "02:00:00:00:00:01", "-r", "100", "-c", "1", "-o", "-", &host]);
        lab.scanner.run("zmap", &words).contains(&host)
    };
    let masscan = |source: IpAddr, port: u16| {
        // A request to a trap needs no answer.
        let wait = u8::from(port != TRAP);
        lab.masscan(source, &format!("-p{port} --wait {wait}")).contains(&format!("open port {port}/tcp"))
    };
    let learns_nothing = |name: &str, scan: &dyn Fn(IpAddr, u16) -> bool| {
        let source = lab.source(Family::V4);
        // On a busy machine an answer may come when zmap no longer listens.
        assert!((0..5).any(|_| scan(source, SERVICE)), "{name} finds services");
        scan(source, TRAP);
        assert_fenced(&daemon, source, name);
        assert!(!scan(source, SERVICE), "{name} has learnt of a service");
    };
    // Both wait some seconds after their last packet.
    thread::scope(|scope| {
        scope.spawn(|| learns_nothing("masscan", &masscan));
        learns_nothing("zmap", &zmap);
    });
}

/// A scanner's system resets unexpected answers, and so does the system of a spoofed bystander. The test prints the
/// two resets: they differ only in their source.
#[test]
fn rst_proves_nothing() {
    let lab = Lab::routed();
    let daemon = asking(&lab).start();
    let [attacker, victim] = [&lab.scanner, &lab.host].map(Wire::open);
    for family in FAMILIES {
        let (guilty, innocent) = (lab.source(family), family.bystander());
        let trap = SocketAddr::new(family.host(), TRAP);
        let [from_guilty, from_innocent] = [guilty, innocent].map(|source| {
            attacker.send(&client(source, 50_000, trap, SYN));
            victim.expect("the reset", |segment| segment.source.ip() == source && segment.tcp.rst)
        });
        println!("A scanner's reset:            {}\n  {:?}", from_guilty.source, from_guilty.tcp);
        println!("A framed bystander's reset:   {}\n  {:?}", from_innocent.source, from_innocent.tcp);
        let anonymous = |segment: &Segment| {
            let mut tcp = segment.tcp.clone();
            tcp.checksum = 0;
            (tcp, segment.frame.len())
        };
        assert_eq!(anonymous(&from_guilty), anonymous(&from_innocent));
        for source in [guilty, innocent] {
            assert_fenced(&daemon, source, "a reset");
        }
    }
    assert!(daemon.blocked().is_empty(), "a reset has proven something");
}

#[test]
fn no_cookie_is_taken_from_whom_it_was_not_made_for() {
    const GUESSES: u32 = 2000;
    let lab = Lab::routed();
    let daemon = asking(&lab).start();
    let wire = Wire::open(&lab.scanner);
    for family in FAMILIES {
        let [owner, thief] = [60, 61].map(|number| lab.phantom(family.member(number)));
        let trap = SocketAddr::new(family.host(), TRAP);
        let other_trap = SocketAddr::new(family.host(), 15);
        wire.send(&client(thief, 1000, trap, SYN));
        wire.expect("the thief's answer", is_answer_to(1000));
        wire.send(&client(owner, 1001, trap, SYN));
        let answer = wire.expect("the owner's answer", is_answer_to(1001));
        for stolen in [
            client(owner, 1001, other_trap, ACK),
            client(owner, 1002, trap, ACK),
            client(thief, 1001, trap, ACK),
            client(thief, 1000, trap, ACK),
        ] {
            wire.send(&acknowledging(stolen, &answer));
        }
        for guess in 0..GUESSES {
            let guess = guess.wrapping_mul(0x9e37_79b9).to_be_bytes();
            wire.send(&client(owner, 1001, trap, ACK).with(Layer::Transport, 8, &guess));
        }
        daemon.settle();
        assert!(!daemon.blocked().contains(&owner) && !daemon.blocked().contains(&thief));
        let proven = daemon.counter("proven");
        // The guesses may have used up the rate for checks; a real client would retry.
        daemon.wait_until("the owner's acknowledgement is taken", || {
            wire.send(&acknowledging(client(owner, 1001, trap, ACK), &answer));
            daemon.blocked().contains(&owner)
        });
        assert_proven(&daemon, owner, "its own cookie");
        assert_eq!(daemon.counter("proven"), proven + 1);
    }
}

/// Each reload renews the keys: a cookie stays valid while its key exists, and becomes invalid once the key is
/// replaced.
#[test]
fn an_old_cookie_is_not_taken() {
    let lab = Lab::routed();
    let daemon = asking(&lab).with("FENCE_TIME", "3600").start();
    let wire = Wire::open(&lab.scanner);
    let mut renewals = 0;
    for family in FAMILIES {
        let [early, late] = [60, 61].map(|number| lab.phantom(family.member(number)));
        let trap = SocketAddr::new(family.host(), TRAP);
        let answers = [(early, 1000), (late, 1001)].map(|(source, port)| {
            wire.send(&client(source, port, trap, SYN));
            wire.expect("the answer", is_answer_to(port))
        });
        let mut renew = || {
            renewals += 1;
            daemon.signal(Signal::SIGHUP);
            let is_done = || daemon.log().count("Configuration reloaded") == renewals;
            daemon.wait_until("the keys are renewed", is_done);
        };
        renew();
        wire.send(&acknowledging(client(early, 1000, trap, ACK), &answers[0]));
        assert_proven(&daemon, early, "a cookie of the key before");
        renew();
        wire.send(&acknowledging(client(late, 1001, trap, ACK), &answers[1]));
        daemon.settle();
        assert_fenced(&daemon, late, "a cookie of a key that is no more");
        // A fresh cookie is accepted, so only the age was wrong.
        wire.send(&client(late, 1002, trap, SYN));
        let fresh = wire.expect("the answer", is_answer_to(1002));
        wire.send(&acknowledging(client(late, 1002, trap, ACK), &fresh));
        assert_proven(&daemon, late, "a fresh cookie");
    }
}

#[test]
fn answers_come_also_where_an_earlier_session_was_attached_natively() {
    let lab = Lab::routed();
    let setup = asking(&lab).with("XDP_MODE", "auto");
    let daemon = setup.clone().with("CHALLENGE", "0").start();
    assert_eq!(daemon.log().count("eth0: native XDP"), 1);
    setup.write();
    daemon.signal(Signal::SIGHUP);
    daemon.log().wait_for("eth0: generic XDP instead of an earlier run's native program");
    for family in FAMILIES {
        let source = lab.source(family);
        lab.nmap(source, "-sT -p 11");
        assert_proven(&daemon, source, "nmap -sT");
    }
    daemon.signal(Signal::SIGHUP);
    daemon.wait_until("it begins anew", || daemon.log().count("Configuration reloaded") == 2);
    assert_eq!(daemon.log().count("generic XDP"), 1, "the generic program is replaced in place");
}

#[test]
fn a_handshake_proves_in_every_mode_whoever_computes_the_sums() {
    for mode in ["native", "generic"] {
        let lab = Lab::routed();
        if mode == "native" {
            lab.pass_at_router();
        }
        let service = lab.serve_tcp(SERVICE);
        let daemon = asking(&lab).with("XDP_MODE", mode).start();
        daemon.log().wait_for(&format!("eth0: {mode} XDP"));
        for is_offloaded in [false, true] {
            lab.offload_sums(is_offloaded);
            for family in FAMILIES {
                let source = lab.source(family);
                assert!(service.answers(&lab.scanner, source, Reach::Expected), "{mode}: {source} is let in");
                lab.nmap(source, "-sT -p 11");
                assert_proven(&daemon, source, &format!("{mode}, sums offloaded: {is_offloaded}"));
                assert!(!service.answers(&lab.scanner, source, Reach::Unexpected), "{source} is dropped");
            }
        }
    }
}

#[test]
fn a_proof_outlives_a_reboot() {
    let lab = Lab::routed();
    let setup = asking(&lab);
    let daemon = setup.start();
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sT -p 11");
    assert_proven(&daemon, source, "nmap -sT");
    let proof = |command: &str| {
        let lines = setup.say(command).json();
        let lines = lines.as_array().expect("a list").iter();
        let blocked = lines.filter(|line| line["action"] == "blocked" || line["state"] == "blocked");
        blocked.map(|line| line["proof"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (proof("list --json"), proof("history --json")),
        (vec!["cookie".into()], vec!["cookie".into()])
    );
    daemon.terminate();
    remove_pins(&lab.pins());
    let _daemon = setup.start();
    assert_eq!(proof("list --json"), ["cookie"], "only the files know");
}

#[test]
fn answers_that_are_lost_are_told_of_before() {
    let lab = Lab::routed();
    let daemon = asking(&lab).with("XDP_MODE", "native").start();
    daemon
        .log()
        .wait_for("eth0: native XDP, and CHALLENGE is on: its answers are lost unless the veth's other end");
}
