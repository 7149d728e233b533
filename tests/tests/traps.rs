//! The connect modes: connections and datagrams to listed ports are accepted without binding the ports, answered
//! with the banner, and logged. Real services take precedence.

use std::{
    io::Read,
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use portsentry_tests::lab::{
    Daemon, FAMILIES, Family, INTERFACE, Lab, Reach, Service, hardware_address, uninterrupted,
};
use socket2::{Domain, Socket, Type};

const BANNER: &str = "** UNAUTHORIZED ACCESS PROHIBITED *** YOUR CONNECTION ATTEMPT HAS BEEN LOGGED.";
/// Longer than any step of these tests takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Connects from `source`, in the scanner's namespace, to `port` of the host.
fn connect(source: IpAddr, port: u16) -> std::io::Result<TcpStream> {
    let to = SocketAddr::new(Family::of(source).host(), port);
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    socket.connect_timeout(&to.into(), PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket.into())
}

/// Returns the banner that a client at `source` receives on a port.
fn banner(lab: &Lab, source: IpAddr, port: u16) -> std::io::Result<String> {
    lab.scanner.enter(|| {
        let mut text = String::new();
        connect(source, port)?.read_to_string(&mut text)?;
        Ok(text)
    })
}

fn connect_line(source: IpAddr, port: u16) -> String {
    format!("attackalert: Connect from host: {source}/{source} to TCP port: {port}")
}

fn assert_blocked(daemon: &Daemon<'_>, source: IpAddr) {
    daemon.wait_for_block(source);
    assert!(daemon.blocked().contains(&source));
}

#[test]
fn a_connection_is_logged_shown_the_banner_and_blocked() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let daemon = lab.portsentry("-tcp").with("PORT_BANNER", BANNER).start();
    for family in FAMILIES {
        let source = lab.source(family);
        assert_eq!(banner(&lab, source, 11).expect("a banner"), BANNER);
        assert_blocked(&daemon, source);
        assert_eq!(daemon.lines_about(source), [connect_line(source, 11)]);
        assert!(!service.answers(&lab.scanner, source, Reach::Unexpected));
        let scanned = lab.source(family);
        lab.nmap(scanned, "-sT -p 15");
        assert_eq!(daemon.lines_about(scanned), [connect_line(scanned, 15)]);
    }
    service.assert_open_to_bystander(&lab);
}

#[test]
fn probes_without_a_connection_are_not_seen_and_unwatched_ports_refuse() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-tcp").start();
    for family in FAMILIES {
        let source = lab.source(family);
        for words in ["-sS -p 11", "-sF -p 11", "-sN -p 11", "-sX -p 11", "-sA -p 11", "-sU -p 69"] {
            lab.nmap(source, words);
            assert_eq!(daemon.lines_about(source), [""; 0], "{words}");
        }
        // A trap looks like a service, and other ports look closed.
        let found = lab.nmap(source, "-sS -p 11,12");
        assert!(found.contains("11/open") && found.contains("12/closed"), "{found}");
    }
}

#[test]
fn a_trap_answers_stealth_probes_and_fragments_as_an_open_port_does() {
    let lab = Lab::new();
    let _service = lab.serve_tcp(12);
    let daemon = lab.portsentry("-tcp").start();
    let mut scanners = Vec::new();
    for family in FAMILIES {
        for (scan, trap, closed) in [
            ("-sF", "open|filtered", "closed"),
            ("-sN", "open|filtered", "closed"),
            ("-sX", "open|filtered", "closed"),
            ("-sS --scanflags SYNFIN", "filtered", "closed"),
            ("-sA", "unfiltered", "unfiltered"),
            ("-sW", "closed", "closed"),
            ("-sM", "closed", "closed"),
            ("-sS -f", "open", "closed"),
            ("-sF -f", "open|filtered", "closed"),
        ] {
            if family == Family::V6 && scan.ends_with("-f") {
                continue;
            }
            let source = lab.source(family);
            scanners.push(source);
            let found = lab.nmap(source, &format!("{scan} -p 11,12,13"));
            for (port, state) in [(11, trap), (12, trap), (13, closed)] {
                assert!(
                    found.contains(&format!(" {port}/{state}/tcp")),
                    "{scan}: {port} isn't {state}: {found}"
                );
            }
            assert_eq!(daemon.lines_about(source), [""; 0], "{scan}");
        }
    }
    // Only the log's own probes are held.
    let held = [daemon.blocked(), daemon.fenced()].concat();
    assert!(scanners.iter().all(|source| !held.contains(source)), "{scanners:?} {held:?}");
}

#[test]
fn a_long_datagram_is_logged_and_answered_with_the_banner() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-udp").with("PORT_BANNER", BANNER).start();
    for family in FAMILIES {
        let source = lab.source(family);
        // The source may be blocked before the host has resolved its address for the answer.
        let hardware = hardware_address(2);
        lab.host.ip(&format!("neighbour replace {source} lladdr {hardware} dev {INTERFACE} nud permanent\n"));
        let answer = lab.scanner.enter(|| {
            let socket = UdpSocket::bind(SocketAddr::new(source, 0))?;
            socket.connect(SocketAddr::new(family.host(), 69))?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.send(&[b'x'; 512])?;
            let mut bytes = [0; 512];
            uninterrupted(|| socket.recv(&mut bytes))
                .map(|length| String::from_utf8_lossy(&bytes[..length]).into_owned())
        });
        assert_eq!(answer.unwrap_or_else(|error| panic!("{source}: no answer: {error}")), BANNER);
        assert_blocked(&daemon, source);
        let line = format!("attackalert: Connect from host: {source}/{source} to UDP port: 69");
        assert_eq!(daemon.lines_about(source), [line]);
        let scanned = lab.source(family);
        lab.nmap(scanned, "-sU -p 513");
        daemon.wait_for_block(scanned);
        let unwatched = lab.source(family);
        let found = lab.nmap(unwatched, "-sU -p 70");
        assert!(found.contains("70/closed"), "{found}");
        assert_eq!(daemon.lines_about(unwatched), [""; 0]);
    }
}

#[test]
fn a_real_service_comes_first_also_one_that_starts_later() {
    let lab = Lab::new();
    let before = [lab.serve_tcp(79), lab.serve_udp(7)];
    let setup = lab.portsentry("-tcp -udp").with("PORT_BANNER", BANNER).with("SERVED_GRACE", "0");
    let daemon = setup.start();
    // A lingering connection to the trap doesn't keep a service from its port.
    let visitor = lab.source(Family::V4);
    let _lingering = lab.scanner.enter(|| connect(visitor, 80)).expect("a trap");
    daemon.wait_for_block(visitor);
    let after = [lab.serve_tcp(80), lab.serve_udp(69)];
    for family in FAMILIES {
        let source = lab.source(family);
        for service in before.iter().chain(&after) {
            assert!(service.answers(&lab.scanner, source, Reach::Expected), "{service:?}");
        }
        assert_eq!(daemon.lines_about(source), [""; 0]);
    }
    // When the service ends, its port becomes a trap again as soon as a list of sockets no longer includes it.
    drop(after);
    let source = lab.source(Family::V4);
    daemon
        .wait_until("its port is a trap again", || banner(&lab, source, 80).is_ok_and(|said| said == BANNER));
}

#[test]
fn a_thousand_ports_show_the_banner_at_once_and_take_two_sockets() {
    let lab = Lab::new();
    let daemon = lab
        .portsentry("-tcp")
        .with("TCP_PORTS", "1,7,11,2001-3000")
        .with("BLOCK_TCP", "0")
        .with("PORT_BANNER", BANNER)
        .start();
    let source = lab.source(Family::V4);
    let shown = lab.scanner.enter(|| {
        let open: Vec<_> = (2001..=3000).map(|port| connect(source, port).expect("a trap")).collect();
        let shown = open.into_iter().map(|mut stream| {
            let mut text = String::new();
            stream.read_to_string(&mut text).map(|_| text)
        });
        shown.collect::<std::io::Result<Vec<_>>>().expect("every banner")
    });
    assert_eq!(shown.len(), 1000);
    assert!(shown.iter().all(|text| *text == BANNER));
    let listening = lab.host.run("ss", &["-Htln"]);
    assert!(listening.lines().count() <= 2, "{listening}");
    let attack = |port| connect_line(source, port);
    daemon.log().wait_for(&attack(3000));
    assert_eq!(
        daemon.log().count(&format!("attackalert: Connect from host: {source}/{source} to TCP port: ")),
        1000
    );
}

#[test]
fn both_protocols_at_once_with_the_flag_of_2_x() {
    let lab = Lab::new();
    let daemon = lab.portsentry("--connect").with("LOG_FORMAT", "auto").start();
    for family in FAMILIES {
        let [by_tcp, by_udp] = [lab.source(family), lab.source(family)];
        lab.nmap(by_tcp, "-sT -p 11");
        lab.nmap(by_udp, "-sU -p 69");
        let line = |source: IpAddr, protocol: &str, port: u16, kind: &str, options: &str| {
            format!(
                "Scan from: [{source}] ({source}) protocol: [{protocol}] port: [{port}] type: [{kind}] IP opts: \
                 [{options}] ignored: [false] triggered: [true] noblock: [false] blocked: [true]"
            )
        };
        daemon.log().wait_for(&line(by_tcp, "TCP", 11, "Connect", "unknown"));
        daemon.log().wait_for(&line(by_udp, "UDP", 69, "Connect", "unknown"));
        assert_blocked(&daemon, by_tcp);
        assert_blocked(&daemon, by_udp);
    }
}

#[test]
fn an_ignored_source_and_one_below_the_trigger_are_left_alone() {
    let lab = Lab::new();
    let ignored = lab.source(Family::V4);
    let daemon = lab.portsentry("-tcp -v").with("SCAN_TRIGGER", "2").ignoring(ignored).start();
    let source = lab.source(Family::V4);
    let _ = banner(&lab, ignored, 11);
    let _ = banner(&lab, ignored, 15);
    let _ = banner(&lab, source, 11);
    daemon
        .log()
        .wait_for(&format!("Noted only (hit 1, below SCAN_TRIGGER): Connect, source {source}/{source}"));
    daemon.log().wait_for(&format!("Noted only (ignored source): Connect, source {ignored}/{ignored}"));
    assert!(!daemon.blocked().contains(&source));
    // Another port, because the same one doesn't count again.
    let _ = banner(&lab, source, 15);
    assert_blocked(&daemon, source);
    assert!(!daemon.blocked().contains(&ignored));
}

#[test]
fn a_stopped_daemon_leaves_no_trap() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-tcp").start();
    let source = lab.source(Family::V4);
    lab.scanner.enter(|| connect(source, 11)).expect("a trap");
    daemon.wait_for_block(source);
    daemon.terminate();
    let refused = lab.scanner.enter(|| connect(source, 11)).map(drop);
    assert_eq!(refused.expect_err("no listener").kind(), std::io::ErrorKind::ConnectionRefused);
    let _: Service = lab.serve_tcp(11);
}

#[test]
fn a_visit_to_a_trap_and_a_packet_add_up_to_one_trigger() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-tcp -sudp -v").with("SCAN_TRIGGER", "3").start();
    let noted = |hit: u32, what: &str, source: IpAddr| {
        let line = format!("Noted only (hit {hit}, below SCAN_TRIGGER): {what}, source {source}/{source}");
        daemon.log().wait_for(&line);
    };
    for family in FAMILIES {
        // The daemon counts connections, the kernel program datagrams.
        let source = lab.source(family);
        let _ = banner(&lab, source, 11);
        noted(1, "Connect", source);
        lab.nmap(source, "-sU -p 69");
        noted(2, "UDP scan", source);
        let _ = banner(&lab, source, 15);
        assert_blocked(&daemon, source);
        // The same in the other order.
        let source = lab.source(family);
        lab.nmap(source, "-sU -p 69");
        noted(1, "UDP scan", source);
        let _ = banner(&lab, source, 11);
        noted(2, "Connect", source);
        lab.nmap(source, "-sU -p 513");
        assert_blocked(&daemon, source);
    }
}
