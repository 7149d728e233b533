//! An attacker spoofs the addresses of hosts that this host needs. None is blocked, existing connections continue,
//! and everything works again after the fence. The host is behind a router, so that its answers reach the framed
//! hosts.

use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::{Child, Stdio},
    time::Duration,
};

use portsentry_common::classify::Protocol;
use portsentry_tests::{
    frames::{Packet, SYN, tcp, udp},
    lab::{
        Daemon, FAMILIES, Family, INTERFACE, Lab, Portsentry, Probe, Reach, Service, Wire, by_way_of,
        uninterrupted,
    },
};

const TRAP: u16 = 11;
const UDP_TRAP: u16 = 69;
const SERVICE: u16 = 8080;
/// Port on which the bystander talks to the host throughout.
const TALK: u16 = 9090;
const NAMES: u16 = 53;
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes sent each way per round of a talk.
const TURN: usize = 64 << 10;

/// Returns a configuration that requires proof, with short fences.
fn asking(lab: &Lab) -> Portsentry<'_> {
    let portsentry = lab.portsentry("-stcp -sudp").with("BLOCK_UNPROVEN", "0").with("CHALLENGE", "1");
    portsentry.with("XDP_MODE", "generic")
}

/// A TCP connection between the bystander and the host, in which every byte is checked.
struct Talk {
    bystander: TcpStream,
    host: TcpStream,
    turn: u8,
}

impl Talk {
    fn begin(lab: &Lab, family: Family) -> Self {
        let at = SocketAddr::new(family.host(), TALK);
        let listener = lab.host.enter(|| TcpListener::bind(at)).expect("a listener");
        let bystander = lab.bystander.enter(|| TcpStream::connect(at)).expect("a connection");
        let (host, _) = listener.accept().expect("it is accepted");
        for end in [&bystander, &host] {
            end.set_read_timeout(Some(PATIENCE)).expect("a limit");
        }
        Self { bystander, host, turn: 0 }
    }

    fn bystander_port(&self) -> u16 {
        self.host.peer_addr().expect("a peer").port()
    }

    /// Sends new bytes each way. Fails unless they arrive unchanged.
    fn go_on(&mut self) {
        self.turn = self.turn.wrapping_add(1);
        let bytes = vec![self.turn; TURN];
        for (mut from, mut to) in [(&self.bystander, &self.host), (&self.host, &self.bystander)] {
            std::thread::scope(|scope| {
                scope.spawn(|| from.write_all(&bytes).expect("bytes are sent"));
                let mut received = vec![0; TURN];
                to.read_exact(&mut received).unwrap_or_else(|error| panic!("the talk breaks off: {error}"));
                assert!(received == bytes, "bytes were changed in turn {}", self.turn);
            });
        }
    }
}

/// The host's connections with the bystander, which must survive.
struct Ties<'lab> {
    lab: &'lab Lab,
    family: Family,
    talk: Talk,
    /// A client of the bystander's name service on an ephemeral port, with an unconnected socket.
    client: UdpSocket,
    names: Service,
    store: Service,
}

impl<'lab> Ties<'lab> {
    fn new(lab: &'lab Lab, family: Family) -> Self {
        let client = lab.host.enter(|| UdpSocket::bind(SocketAddr::new(family.host(), 0)));
        let client = client.expect("an ephemeral port");
        client.set_read_timeout(Some(PATIENCE)).expect("a limit");
        Self {
            lab,
            family,
            talk: Talk::begin(lab, family),
            client,
            names: Service::start(&lab.bystander, Protocol::Udp, NAMES),
            store: Service::start(&lab.bystander, Protocol::Tcp, 7777),
        }
    }

    /// Fails unless all of them work.
    fn hold(&mut self) {
        let (host, bystander) = (self.family.host(), self.family.bystander());
        self.talk.go_on();
        self.client.send_to(b"hello", SocketAddr::new(bystander, NAMES)).expect("a question");
        uninterrupted(|| self.client.recv(&mut [0; 5])).expect("an answer to a client that isn't connected");
        for service in [&self.names, &self.store] {
            let is_reached = service.answers_at(&self.lab.host, host, bystander, Reach::Expected);
            assert!(is_reached, "the host can't reach {service:?} at {bystander}");
        }
    }
}

/// Returns the number of frames that the scanner has sent.
fn sent(lab: &Lab) -> u64 {
    lab.scanner.frames(INTERFACE, "tx")
}

/// A spoofing program, killed when dropped.
struct Forger(Child);

impl Forger {
    /// Starts hping3 in the scanner's namespace, and waits until it sends. `words` doesn't include the host.
    fn start(daemon: &Daemon<'_>, lab: &Lab, words: &str) -> Self {
        const SOME: u64 = 20;
        let before = sent(lab);
        let mut hping3 = lab.scanner.command("hping3");
        hping3.args(["-n", "-q"]).args(words.split(' ')).arg(Family::V4.host().to_string());
        let forger = Self(hping3.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("hping3"));
        daemon.wait_until("the forger sends", || sent(lab) >= before + SOME);
        forger
    }

    /// Whether it is still running.
    fn goes_on(&mut self) -> bool {
        self.0.try_wait().expect("a child's state").is_none()
    }
}

impl Drop for Forger {
    fn drop(&mut self) {
        // It may already have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_for_fence(daemon: &Daemon<'_>, source: IpAddr) {
    daemon.log().wait_for(&format!("Host {source} has been fenced for"));
}

#[test]
fn a_framed_bystander_keeps_every_tie_and_is_free_again() {
    let lab = Lab::routed();
    let services = [lab.serve_tcp(SERVICE), lab.serve_udp(SERVICE)];
    let daemon = asking(&lab).with("FENCE_TIME", "6").start();
    let bystander = Family::V4.bystander();
    let mut ties = Ties::new(&lab, Family::V4);
    ties.hold();
    let talk = ties.talk.bystander_port();
    // SYNs to a trap, to the talk's port, and with the talk's own addresses; datagrams; and stealth scans.
    for words in [
        format!("-a {bystander} -i u200 -S -p {TRAP}"),
        format!("-a {bystander} -i u200 -S -p {TALK} -s {talk} -k"),
        format!("-a {bystander} -i u200 -2 -p {UDP_TRAP} -d 32"),
        format!("-a {bystander} -i u200 -F -P -U -p {TRAP}"),
        format!("-a {bystander} -i u200 -F -p {TALK} -s {talk} -k"),
    ] {
        let mut forger = Forger::start(&daemon, &lab, &words);
        for _ in 0..20 {
            ties.hold();
        }
        assert!(forger.goes_on(), "hping3 {words} has ended");
        drop(forger);
        ties.hold();
        assert!(daemon.blocked().is_empty(), "{words}: {:?}", daemon.blocked());
    }
    wait_for_fence(&daemon, bystander);
    daemon.log().wait_for(&format!("Host {bystander} is no longer fenced"));
    for name in ["passed_fenced", "dropped_fenced"] {
        assert!(daemon.counter(name) > 0, "{name}");
    }
    let is_free = || services.iter().all(|it| it.answers(&lab.bystander, bystander, Reach::Unexpected));
    daemon.wait_until("the bystander is free again", is_free);
    ties.hold();
    assert!(daemon.blocked().is_empty());
}

/// New connections are dropped over both address families; established ones continue.
#[test]
fn a_fence_holds_what_opens_and_passes_what_belongs() {
    let lab = Lab::routed();
    let services = [lab.serve_tcp(SERVICE), lab.serve_udp(SERVICE)];
    let daemon = asking(&lab).start();
    let wire = Wire::open(&lab.scanner);
    for family in FAMILIES {
        let bystander = family.bystander();
        let mut ties = Ties::new(&lab, family);
        for service in &services {
            assert!(service.answers(&lab.bystander, bystander, Reach::Expected), "{service:?}");
        }
        let forged = |packet: Packet, port: u16| {
            let ends = [SocketAddr::new(bystander, 40_000), SocketAddr::new(family.host(), port)];
            packet.from(&ends[0].to_string()).to(&ends[1].to_string())
        };
        wire.send(&forged(tcp(SYN), TRAP));
        wait_for_fence(&daemon, bystander);
        for service in &services {
            let is_reached = service.answers(&lab.bystander, bystander, Reach::Unexpected);
            assert!(!is_reached, "{service:?} is open to a fenced source");
        }
        for _ in 0..20 {
            wire.send(&forged(tcp(SYN), TRAP));
            wire.send(&forged(udp().payload(5), UDP_TRAP));
            ties.hold();
        }
        assert!(daemon.fenced().contains(&bystander) && daemon.blocked().is_empty());
    }
}

#[test]
fn the_gateway_is_neither_fenced_nor_blocked() {
    let lab = Lab::routed();
    let daemon = asking(&lab).start();
    let wire = Wire::open(&lab.scanner);
    let mut ties = Ties::new(&lab, Family::V4);
    let gateway = Family::V4.router();
    let mut forger = Forger::start(&daemon, &lab, &format!("-a {gateway} -i u200 -S -p {TRAP}"));
    for _ in 0..20 {
        ties.hold();
    }
    assert!(forger.goes_on());
    drop(forger);
    for family in FAMILIES {
        let ends = [SocketAddr::new(family.router(), 4000), SocketAddr::new(family.host(), TRAP)];
        wire.send(&tcp(SYN).from(&ends[0].to_string()).to(&ends[1].to_string()));
    }
    daemon.settle();
    assert!(daemon.counter("ignored") > 0, "the gateway's probes are seen");
    for family in FAMILIES {
        let gateway = family.router();
        assert!(!daemon.blocked().contains(&gateway) && !daemon.fenced().contains(&gateway), "{gateway}");
    }
    ties.hold();
}

#[test]
fn the_name_server_is_neither_fenced_nor_blocked() {
    let lab = Lab::routed();
    let resolvers = FAMILIES.map(|family| format!("nameserver {}\n", family.bystander())).concat();
    let file = lab.files().join("resolv.conf");
    fs::write(&file, resolvers).expect("a file");
    let mount = format!("mount --bind {} /etc/resolv.conf; exec \"$@\"", file.display());
    let daemon = asking(&lab).start_in(by_way_of(&mount));
    let wire = Wire::open(&lab.scanner);
    let mut ties = Ties::new(&lab, Family::V4);
    let resolver = Family::V4.bystander();
    for words in [
        format!("-a {resolver} -i u200 -S -p {TRAP} -s {NAMES} -k"),
        format!("-a {resolver} -i u200 -2 -p {UDP_TRAP} -s {NAMES} -k"),
    ] {
        let mut forger = Forger::start(&daemon, &lab, &words);
        (0..20).for_each(|_| ties.hold());
        assert!(forger.goes_on(), "hping3 {words} has ended");
    }
    for family in FAMILIES {
        let ends = [SocketAddr::new(family.bystander(), NAMES), SocketAddr::new(family.host(), TRAP)];
        wire.send(&tcp(SYN).from(&ends[0].to_string()).to(&ends[1].to_string()));
    }
    daemon.settle();
    assert!(daemon.counter("ignored") > 0, "the name server's probes are seen");
    for resolver in FAMILIES.map(Family::bystander) {
        assert!(!daemon.blocked().contains(&resolver) && !daemon.fenced().contains(&resolver), "{resolver}");
    }
    ties.hold();
}

#[test]
fn a_flood_of_forged_sources_blocks_nobody_and_hides_nobody() {
    const MAX_FENCED: usize = 512;
    let lab = Lab::routed();
    let service = lab.serve_tcp(SERVICE);
    let daemon = asking(&lab).with("MAX_FENCED", &MAX_FENCED.to_string()).with("FENCE_RATE", "1000").start();
    let flood = ["5", "hping3", "-n", "-q", "--rand-source", "--flood", "-S", "-p", "11"];
    let host = Family::V4.host().to_string();
    let ended = lab.scanner.command("timeout").args(flood).arg(&host).output().expect("timeout of coreutils");
    assert_eq!(ended.status.code(), Some(124), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(daemon.counter("over_fences") > 0, "the flood exceeds the rate");
    assert!(daemon.counter("fenced") > MAX_FENCED as u64, "the flood fills the map");
    let fenced = daemon.fenced().len();
    assert!(fenced <= MAX_FENCED, "{fenced} are fenced at a time");
    assert_eq!(daemon.counter("blocked"), 0);
    let source = lab.source(Family::V4);
    let found = lab.nmap(source, &format!("-sS -r -p {TRAP},{SERVICE}"));
    assert!(found.contains(&format!("{SERVICE}/filtered")), "{found}");
    wait_for_fence(&daemon, source);
    // A source whose own system completes the handshake is proven, as before the flood.
    let proven = lab.source(Family::V4);
    let _probe = Probe::tcp(&lab.scanner, proven, SocketAddr::new(Family::V4.host(), TRAP));
    daemon
        .log()
        .wait_for(&format!("Host {proven} has been blocked in the kernel (proof: completed handshake)"));
    service.assert_open_to_bystander(&lab);
}
