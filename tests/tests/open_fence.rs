//! The open fence (`FENCE="open"`). A host whose address is spoofed keeps connecting, and a scanner finds every
//! port open until a few completed handshakes get it blocked. The tests cover both variants: the kernel makes a
//! connection of the acknowledgement of PortSentry's answer, or services receive the SYN.

use std::{
    env, fs,
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use portsentry_tests::{
    frames::{CWR, Checksum, ECE, FIN, Layer, Packet, RST, SYN, tcp},
    lab::{Daemon, FAMILIES, Family, INTERFACE, Lab, Portsentry, Segment, Wire},
};

mod classifier;
mod many_sources;
mod multipath;
mod scanners;

const TRAP: u16 = 11;
const SERVICE: u16 = 8080;
const CLOSED: u16 = 9091;
/// A port in the daemons' `ADVANCED_EXCLUDE_TCP`.
const EXCLUDED: u16 = 113;
const SIZE: [u8; 4] = [2, 4, 5, 180];

/// The responder to a fenced source's SYN to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// PortSentry.
    Accept,
    /// The service.
    Forward,
}

const WAYS: [Way; 2] = [Way::Accept, Way::Forward];

impl Way {
    /// Starts a daemon in this variant on the lab's host. Returns `None` if the kernel doesn't support it.
    fn start<'lab>(self, portsentry: &Portsentry<'lab>) -> Option<Daemon<'lab>> {
        let lab = portsentry.lab();
        if self == Self::Forward {
            // Without SYN cookies the kernel makes no connections of acknowledgements.
            lab.host.run("sysctl", &["-qw", "net.ipv4.tcp_syncookies=0"]);
            // On a real cable all checksums are complete.
            for namespace in [&lab.scanner, &lab.bystander] {
                namespace.run("ethtool", &["-K", INTERFACE, "tx", "off"]);
            }
        }
        let daemon = portsentry.start();
        daemon.log().wait_for("The fence is open:");
        let accepts = daemon.log().count("PortSentry answers for every port") > 0;
        let can =
            fs::read_to_string("/proc/kallsyms").unwrap_or_default().contains("bpf_sk_assign_tcp_reqsk");
        assert_eq!(accepts, self == Self::Accept && can, "{:?}", daemon.log().lines());
        let way =
            if accepts { "open: PortSentry answers for every port" } else { "open: services answer for" };
        for command in ["status", "doctor"] {
            let said = portsentry.say(command).out;
            assert!(said.contains(way), "{command}: {said}");
        }
        (accepts || self == Self::Forward).then_some(daemon)
    }
}

fn open(lab: &Lab) -> Portsentry<'_> {
    let portsentry = lab.portsentry("-stcp -sudp").with("BLOCK_UNPROVEN", "0").with("CHALLENGE", "1");
    let portsentry = portsentry.with("PROOF_TRAPS", "2");
    let portsentry = portsentry.with("FENCE", "open").with("FENCE_TIME", "7200").with("XDP_MODE", "generic");
    portsentry.with("ADVANCED_EXCLUDE_TCP", &EXCLUDED.to_string())
}

/// Runs `test` in a separate lab for each variant that the kernel supports, with a service.
fn in_each_way(test: impl Fn(Way, &Lab, &Daemon<'_>, &[Greeter; 2]) + Sync) {
    thread::scope(|scope| {
        for way in WAYS {
            let test = &test;
            scope.spawn(move || {
                let lab = Lab::new();
                let services = Greeter::start(&lab, SERVICE);
                if let Some(daemon) = way.start(&open(&lab)) {
                    test(way, &lab, &daemon, &services);
                }
            });
        }
    });
}

/// A service that sends the first message, as SSH and mail servers do, and echoes data.
struct Greeter(SocketAddr);

const GREETING: &[u8] = b"220 ready\r\n";

impl Greeter {
    /// Starts the service on `port` of the host for both address families, until the lab ends.
    fn start(lab: &Lab, port: u16) -> [Self; 2] {
        FAMILIES.map(|family| {
            let at = SocketAddr::new(family.host(), port);
            let listener = lab.host.enter(|| TcpListener::bind(at)).expect("a listener");
            thread::spawn(move || {
                for client in listener.incoming().flatten() {
                    thread::spawn(move || greet(client));
                }
            });
            Self(at)
        })
    }

    /// Returns the time until a client in the bystander's namespace has the greeting and its echoed data.
    fn serve(&self, lab: &Lab) -> Result<Duration, String> {
        let begin = Instant::now();
        let client = lab.bystander.enter(|| TcpStream::connect_timeout(&self.0, PATIENCE));
        let mut client = client.map_err(|error| format!("connecting: {error}"))?;
        let served = client.set_read_timeout(Some(PATIENCE)).and_then(|()| {
            let mut received = [0; GREETING.len()];
            client.read_exact(&mut received)?;
            client.write_all(&[7; 3000])?;
            client.read_exact(&mut [0; 3000])?;
            Ok(received)
        });
        match served {
            Ok(received) if received == GREETING => Ok(begin.elapsed()),
            Ok(received) => Err(format!("greeted with {received:?}")),
            Err(error) => Err(format!("talking: {error}")),
        }
    }
}

fn greet(mut client: TcpStream) {
    let mut bytes = [0; 4096];
    let mut said = client.write_all(GREETING);
    while let (Ok(()), Ok(length @ 1..)) = (&said, client.read(&mut bytes)) {
        said = client.write_all(&bytes[..length]);
    }
}

const PATIENCE: Duration = Duration::from_secs(10);
/// Maximum time to open a connection that must not be delayed.
const PROMPT: Duration = Duration::from_millis(200);

/// Connects from one of the scanner's addresses.
fn connect(lab: &Lab, source: IpAddr, port: u16, patience: Duration) -> std::io::Result<TcpStream> {
    let at = SocketAddr::new(Family::V4.host(), port);
    lab.scanner.connect_from(source, at, patience)
}

/// Fences `source` by a SYN to a trap with this address.
fn fence(daemon: &Daemon<'_>, wire: &Wire, source: IpAddr) {
    wire.send(&syn(source, 39_999, TRAP));
    daemon.wait_until("the source is fenced", || daemon.fenced().contains(&source));
}

/// Returns a SYN to the host with correct checksums and a maximum segment size.
fn syn(source: IpAddr, source_port: u16, port: u16) -> Packet {
    segment(source, source_port, port, SYN)
}

/// Returns the same segment with `flags`.
fn segment(source: IpAddr, source_port: u16, port: u16, flags: u8) -> Packet {
    let host = Family::of(source).host();
    let ends = [SocketAddr::new(source, source_port), SocketAddr::new(host, port)].map(|end| end.to_string());
    tcp(flags).tcp_options(&SIZE).checksum(Checksum::Right).from(&ends[0]).to(&ends[1])
}

/// Returns the number of seconds in `OPEN_FENCE_SECONDS`, by default a minute.
fn seconds() -> u64 {
    let text = env::var("OPEN_FENCE_SECONDS").unwrap_or_else(|_| "60".into());
    text.parse().unwrap_or_else(|error| panic!("OPEN_FENCE_SECONDS={text}: {error}"))
}

/// 1,000 connections over both address families, while an attacker sends 200 SYNs a second with the client's
/// address.
#[test]
fn a_framed_host_opens_connections_as_if_nobody_spoofed_its_address() {
    const CONNECTIONS: u32 = 1000;
    const EACH: Duration = Duration::from_millis(5);
    thread::scope(|scope| {
        for way in WAYS {
            scope.spawn(move || {
                let lab = Lab::routed();
                let services = Greeter::start(&lab, SERVICE);
                let Some(daemon) = way.start(&open(&lab)) else { return };
                let wire = Wire::open(&lab.scanner);
                let framed = FAMILIES.map(Family::bystander);
                framed.into_iter().for_each(|source| fence(&daemon, &wire, source));
                let (is_over, begin) = (AtomicBool::new(false), Instant::now());
                thread::scope(|scope| {
                    scope.spawn(|| {
                        for number in 0_u32.. {
                            if is_over.load(Ordering::Relaxed) {
                                return;
                            }
                            let port = if number % 2 == 0 { TRAP } else { SERVICE };
                            let source_port = 20_000 + u16::try_from(number % 9000).expect("a port");
                            framed.into_iter().for_each(|source| wire.send(&syn(source, source_port, port)));
                            thread::sleep((EACH * (number + 1)).saturating_sub(begin.elapsed()));
                        }
                    });
                    let (mut failed, mut late) = (Vec::new(), 0);
                    for number in 0..CONNECTIONS {
                        let due = Duration::from_secs(seconds()) * number / CONNECTIONS;
                        thread::sleep(due.saturating_sub(begin.elapsed()));
                        match services[usize::from(number % 2 == 1)].serve(&lab) {
                            Ok(took) => late += u32::from(took > Duration::from_secs(1)),
                            Err(error) => failed.push(format!("{way:?}, number {number}: {error}")),
                        }
                    }
                    is_over.store(true, Ordering::Relaxed);
                    assert!(
                        failed.is_empty(),
                        "{} failed: {:?}; {} SYNs over the rate",
                        failed.len(),
                        failed.first(),
                        daemon.counter("over_syns")
                    );
                    // A busy machine may delay a few.
                    assert!(late <= 5, "{way:?}: {late} of {CONNECTIONS} took more than a second");
                });
                assert!(
                    framed.iter().all(|source| daemon.fenced().contains(source))
                        && daemon.blocked().is_empty()
                );
            });
        }
    });
}

/// Returns an answer's content without the parts that differ between connections.
fn face(answer: &Segment, family: Family) -> (Vec<u8>, Vec<u8>) {
    let header = if family == Family::V4 { 20 } else { 40 };
    let mut ip = answer.frame[14..14 + header].to_vec();
    let mut tcp = answer.frame[14 + header..].to_vec();
    // The flow label is random.
    if family == Family::V6 {
        ip[1] &= 0xf0;
        ip[2..4].fill(0);
    }
    // Ports, numbers, checksum.
    tcp[..12].fill(0);
    tcp[16..18].fill(0);
    tcp.truncate(24);
    (ip, tcp)
}

/// A variation of a SYN.
type Change<'a> = &'a dyn Fn(Packet) -> Packet;

/// Served, watched and unwatched ports answer with the same bytes, or not at all.
#[test]
fn answers_show_nobody_which_ports_are_served() {
    in_each_way(|way, lab, daemon, _| {
        for family in FAMILIES {
            let source = lab.source(family);
            let wire = Wire::ear(&lab.scanner, family);
            fence(daemon, &wire, source);
            let mut next = 41_000;
            let mut ask = |port: u16, flags: u8, change: &dyn Fn(Packet) -> Packet| {
                next += 1;
                let packet = change(segment(source, next, port, flags));
                wire.send(&packet);
                let answer =
                    wire.hear(|segment| segment.source.port() == port && segment.destination.port() == next);
                answer.map(|answer| (answer.tcp.rst, face(&answer, family)))
            };
            let options = [&SIZE[..], &[4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7]].concat();
            let changes: [(&str, bool, u8, Change<'_>); 6] = [
                ("as Linux sends it", true, SYN, &|it| it.tcp_options(&options)),
                ("a size alone", true, SYN, &|it| it),
                ("with ECN", true, SYN | ECE | CWR, &|it| it),
                ("a wrong checksum", false, SYN, &|it| it.with(Layer::Transport, 16, &[0x12, 0x34])),
                ("with data", false, SYN, &|it| it.payload(5)),
                ("without options", way == Way::Accept, SYN, &|it| it.tcp_options(&[])),
            ];
            for (what, is_answered, flags, change) in changes {
                let answers = [SERVICE, CLOSED, TRAP].map(|port| ask(port, flags, change));
                assert_eq!(answers[0].is_some(), is_answered, "{way:?} {family:?}: {what}");
                for answer in &answers[1..] {
                    assert_eq!(answer, &answers[0], "{way:?} {family:?}: {what}");
                }
            }
            let refused = ask(EXCLUDED, SYN, &|it| it);
            assert!(
                refused.is_some_and(|(is_reset, _)| is_reset),
                "what is excluded is refused by the stack"
            );
            // A packet that opens no connection is dropped on all ports.
            for flags in [FIN, 0, FIN | RST] {
                let answers = [SERVICE, CLOSED, TRAP].map(|port| ask(port, flags, &|it| it).is_some());
                assert_eq!(answers, [false; 3], "{way:?} {family:?}: flags {flags:#x}");
            }
        }
    });
}

/// nmap finds every port open. Once it completes handshakes, it is blocked.
#[test]
fn a_scanner_finds_every_port_open_until_it_is_proven() {
    in_each_way(|way, lab, daemon, _| {
        let source = lab.source(Family::V4);
        fence(daemon, &Wire::open(&lab.scanner), source);
        let found = lab.nmap(source, &format!("-sS -p {TRAP},{SERVICE},{CLOSED},1000-1019"));
        assert_eq!(found.matches("/open/tcp").count(), 23, "{way:?}: {found}");
        assert!(daemon.blocked().is_empty(), "half a handshake proves nothing");
        // Not the service's port, because chance decides when a scan reaches it.
        let connected: Vec<_> = (1000..1020).map(|port| connect(lab, source, port, PROMPT)).collect();
        daemon
            .log()
            .wait_for(&format!("Host {source} has been blocked in the kernel (proof: completed handshake)"));
        let opened = connected.iter().filter(|it| it.is_ok()).count();
        assert!(opened <= 3, "{way:?}: {opened} connections were opened");
        let found = lab.nmap(source, &format!("-sS -p {TRAP},{SERVICE},{CLOSED}"));
        assert!(!found.contains("/open/"), "{way:?}: {found}{:#?}", daemon.log().lines());
    });
}

/// A connection through the fence doesn't make a scanner a client: two handshakes with traps block it.
#[test]
fn a_connection_opened_while_fenced_spares_nobody() {
    in_each_way(|_, lab, daemon, _| {
        let source = lab.source(Family::V4);
        fence(daemon, &Wire::open(&lab.scanner), source);
        let mut client = connect(lab, source, SERVICE, PATIENCE).expect("a fenced source's connection");
        client.set_read_timeout(Some(PATIENCE)).expect("a limit");
        client.read_exact(&mut [0; GREETING.len()]).expect("a greeting");
        client.write_all(b"hello").expect("it is sent");
        client.read_exact(&mut [0; 5]).expect("an echo");
        let _traps = [CLOSED, CLOSED + 1].map(|port| connect(lab, source, port, PATIENCE));
        daemon
            .log()
            .wait_for(&format!("Host {source} has been blocked in the kernel (proof: completed handshake)"));
    });
}

/// Each fenced source has its own rate, and one source's packets leave another's rate unchanged.
#[test]
fn one_sources_flood_takes_nothing_from_another() {
    in_each_way(|way, lab, daemon, services| {
        let wire = Wire::open(&lab.scanner);
        let (flooder, framed) = (lab.source(Family::V4), Family::V4.bystander());
        fence(daemon, &wire, flooder);
        fence(daemon, &wire, framed);
        let before = daemon.counter("over_syns");
        for number in 0..3000 {
            wire.send(&syn(flooder, 20_000 + number, CLOSED));
        }
        daemon.wait_until("the flood exceeds its source's rate", || daemon.counter("over_syns") > before);
        services[0].serve(lab).unwrap_or_else(|error| panic!("{way:?}: {error}"));
    });
}

/// Cuts connections that begin without a SYN, as far as connection tracking sees.
const NO_SYN: &str = "table inet guard {\n chain input {\n type filter hook input priority 0\n\
    tcp flags != syn ct state new drop\n }\n}\n";

/// Such a rule is common, and cuts the connections that the kernel opens for acknowledgements alone.
#[test]
fn the_doctor_warns_of_filters_that_cut_accepted_connections() {
    for way in WAYS {
        let lab = Lab::new();
        let portsentry = open(&lab);
        let Some(_daemon) = way.start(&portsentry) else { continue };
        let warned = |lab: &Lab| {
            let rules = lab.files().join("rules");
            fs::write(&rules, NO_SYN).expect("a file");
            lab.host.run("nft", &["-f", &rules.display().to_string()]);
            portsentry.say("doctor").out.contains("a rule that cuts connections of fenced hosts to services")
        };
        assert!(!portsentry.say("doctor").out.contains("cuts connections"));
        assert_eq!(warned(&lab), way == Way::Accept, "{way:?}");
    }
}
