//! The connect modes accept connections and datagrams to traps, answer with the banner, and log them.

use std::{
    io::{ErrorKind, Read},
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use portsentry_tests::lab::{FAMILIES, Family, Lab, Namespace, Reach, uninterrupted};

const BANNER: &str = "GO AWAY";
const PATIENCE: Duration = Duration::from_secs(10);

/// Connects from `source` in `namespace`.
fn connect(namespace: &Namespace, source: IpAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = namespace.connect_from(source, to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn read(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the whole banner, and then an end");
    text
}

#[test]
fn a_connection_is_shown_the_banner_told_and_proof_enough() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-tcp").with("PORT_BANNER", "GO AWAY").with("BLOCK_UNPROVEN", "0").start();
    for family in FAMILIES {
        let source = lab.source(family);
        let stream = connect(&lab.scanner, source, SocketAddr::new(family.host(), 11)).expect("a connection");
        assert_eq!(read(stream), BANNER);
        daemon.wait_for_block(source);
        daemon.log().wait_for(&format!("attackalert: Connect from host: {source}/{source} to TCP port: 11"));
        daemon
            .log()
            .wait_for(&format!("Host {source} has been blocked in the kernel (proof: completed connection)"));
        let refused = connect(&lab.scanner, source, SocketAddr::new(family.host(), 15));
        assert_eq!(refused.expect_err("nothing passes").kind(), ErrorKind::TimedOut);
    }
}

#[test]
fn only_completed_connections_are_told() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-tcp").with("BLOCK_TCP", "0").start();
    for family in FAMILIES {
        let [stealthy, open] = [lab.source(family), lab.source(family)];
        for words in ["-sS -p 11", "-sF -p 11", "-sN -p 11", "-sX -p 11"] {
            lab.nmap(stealthy, words);
        }
        lab.nmap(open, "-sT -p 11");
        let line = format!("attackalert: Connect from host: {open}/{open} to TCP port: 11");
        daemon.log().wait_for(&line);
        assert_eq!(daemon.lines_about(stealthy), [""; 0]);
    }
}

#[test]
fn other_ports_refuse_and_services_go_before() {
    let lab = Lab::new();
    let before = lab.serve_tcp(80);
    let daemon = lab.portsentry("-tcp").with("SERVED_GRACE", "0").start();
    let after = lab.serve_tcp(143);
    for family in FAMILIES {
        let source = lab.source(family);
        let refused = connect(&lab.scanner, source, SocketAddr::new(family.host(), 4444));
        assert_eq!(refused.expect_err("no listener").kind(), ErrorKind::ConnectionRefused);
        assert!(before.answers(&lab.scanner, source, Reach::Expected));
        assert!(after.answers(&lab.scanner, source, Reach::Expected));
        assert_eq!(daemon.lines_about(source), [""; 0]);
    }
    drop(after);
    let source = lab.source(Family::V4);
    connect(&lab.scanner, source, SocketAddr::new(Family::V4.host(), 143)).expect("a trap again");
    daemon.log().wait_for(&format!("Connect from host: {source}/{source} to TCP port: 143"));
}

#[test]
fn the_banner_is_read_on_a_thousand_ports_at_once() {
    let lab = Lab::new();
    let settings = [("TCP_PORTS", "1001-2000"), ("PORT_BANNER", "GO AWAY"), ("BLOCK_TCP", "0")];
    let setup = settings.iter().fold(lab.portsentry("-tcp"), |setup, (key, value)| setup.with(key, value));
    let _daemon = setup.start();
    let source = lab.source(Family::V4);
    let open: Vec<TcpStream> = (1001..=2000)
        .map(|port| {
            connect(&lab.scanner, source, SocketAddr::new(Family::V4.host(), port)).expect("a connection")
        })
        .collect();
    assert!(open.into_iter().all(|stream| read(stream) == BANNER));
}

#[test]
fn a_datagram_is_answered_with_less_than_it_brought_from_where_it_went_to() {
    let lab = Lab::new();
    let setup = lab.portsentry("-udp").with("PORT_BANNER", "GO AWAY").with("BLOCK_UNPROVEN", "0");
    let daemon = setup.start();
    for family in FAMILIES {
        let source = lab.source(family);
        let answer = lab.scanner.enter(|| {
            let socket = UdpSocket::bind(SocketAddr::new(source, 0))?;
            socket.connect(SocketAddr::new(family.host(), 7))?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.send(b"hello")?;
            let mut bytes = [0; 64];
            let length = uninterrupted(|| socket.recv(&mut bytes))?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes[..length]).into_owned())
        });
        assert_eq!(answer.expect("an answer"), BANNER[..4]);
        daemon.log().wait_for(&format!("attackalert: Connect from host: {source}/{source} to UDP port: 7"));
        // Any host could have sent the datagram.
        daemon.log().wait_for(&format!("Host {source} has been fenced"));
    }
}

/// The banner amplifies no traffic: a framed host receives fewer bytes than the attacker sends, and at most
/// `CHALLENGE_RATE` answers per second.
#[test]
fn forged_datagrams_bring_fewer_bytes_than_were_sent() {
    const RATE: usize = 50;
    const DATAGRAMS: usize = 3000;
    let lab = Lab::new();
    let banner = "You have connected to an unauthorized port. ".repeat(8);
    let rate = RATE.to_string();
    let settings = [("PORT_BANNER", banner.trim()), ("CHALLENGE_RATE", &rate), ("BLOCK_UDP", "0")];
    let setup = settings.iter().fold(lab.portsentry("-udp"), |setup, (key, value)| setup.with(key, value));
    let daemon = setup.start();
    for (family, size) in FAMILIES.into_iter().zip([1, 100]) {
        let source = lab.source(family);
        let (answers, bytes, seconds) = lab.scanner.enter(|| {
            let socket = UdpSocket::bind(SocketAddr::new(source, 0)).expect("a socket");
            socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a limit");
            let began = Instant::now();
            for _ in 0..DATAGRAMS {
                socket.send_to(&vec![b'x'; size], SocketAddr::new(family.host(), 7)).expect("a datagram");
            }
            daemon.log().wait_for(&format!("Connect from host: {source}/{source} to UDP port: 7"));
            let mut lengths = Vec::new();
            while let Ok((length, _)) = socket.recv_from(&mut [0; 2048]) {
                lengths.push(length);
            }
            (lengths.len(), lengths.iter().copied().max().unwrap_or(0), began.elapsed().as_secs())
        });
        assert!(bytes < size, "{bytes} bytes answer {size}");
        let most = RATE * (2 + usize::try_from(seconds).expect("a short time"));
        assert!(answers <= most, "{answers} answers in {seconds} s");
        assert_eq!(answers == 0, size == 1, "{answers} answers to {size} bytes");
    }
}

#[test]
fn datagrams_that_come_together_are_told_once() {
    for unproven in ["0", "1"] {
        let lab = Lab::new();
        let daemon = lab.portsentry("-udp").with("BLOCK_UNPROVEN", unproven).start();
        for family in FAMILIES {
            let source = lab.source(family);
            lab.scanner.enter(|| {
                let socket = UdpSocket::bind(SocketAddr::new(source, 0)).expect("a socket");
                for _ in 0..20 {
                    socket.send_to(b"hello", SocketAddr::new(family.host(), 7)).expect("a datagram is sent");
                }
            });
            let line = format!("attackalert: Connect from host: {source}/{source} to UDP port: 7");
            daemon.log().wait_for(&line);
            assert_eq!(daemon.lines_about(source), [line]);
        }
    }
}

#[test]
fn visits_count_towards_the_trigger_and_ignored_ones_do_not() {
    let lab = Lab::new();
    let [ignored, counted] = [lab.source(Family::V4), lab.source(Family::V4)];
    let daemon = lab.portsentry("-tcp").with("SCAN_TRIGGER", "2").ignoring(ignored).start();
    for port in [1, 7, 11, 15] {
        connect(&lab.scanner, ignored, SocketAddr::new(Family::V4.host(), port)).expect("a connection");
    }
    connect(&lab.scanner, counted, SocketAddr::new(Family::V4.host(), 1)).expect("a first connection");
    connect(&lab.scanner, counted, SocketAddr::new(Family::V4.host(), 7)).expect("a second connection");
    daemon.wait_for_block(counted);
    assert_eq!(daemon.blocked(), [counted]);
    assert_eq!(daemon.lines_about(ignored), [""; 0]);
}

#[test]
fn a_repeated_connection_is_no_news() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-tcp").with("BLOCK_TCP", "0").start();
    let source = lab.source(Family::V4);
    for port in [11, 15] {
        for _ in 0..100 {
            connect(&lab.scanner, source, SocketAddr::new(Family::V4.host(), port)).expect("a connection");
        }
    }
    let lines =
        [11, 15].map(|port| format!("attackalert: Connect from host: {source}/{source} to TCP port: {port}"));
    daemon.log().wait_for(&lines[1]);
    daemon.settle();
    assert_eq!(lines.each_ref().map(|line| daemon.log().count(line)), [1, 1]);
}

#[test]
fn a_connecting_source_is_blocked_beyond_the_event_rate() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let daemon = lab.portsentry("-tcp").with("EVENT_RATE", "1").with("BLOCK_UNPROVEN", "0").start();
    let sources: Vec<_> = (0..12).map(|number| lab.source(FAMILIES[number % 2])).collect();
    for source in &sources {
        let host = Family::of(*source).host();
        connect(&lab.scanner, *source, SocketAddr::new(host, 11)).expect("a connection");
    }
    daemon.log().wait_for("probes not logged: EVENT_RATE exceeded");
    for source in &sources {
        daemon.wait_for_block(*source);
        assert!(daemon.blocked().contains(source));
        assert_eq!(daemon.file_about("BLOCKED_FILE", *source).len(), 1);
        assert_eq!(daemon.file_about("HISTORY_FILE", *source).len(), 1);
    }
    service.assert_open_to_bystander(&lab);
}

#[test]
fn a_source_without_room_is_not_reported_as_blocked() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-tcp").with("MAX_BLOCKED", "1").start();
    let [held, late] = [lab.source(Family::V4), lab.source(Family::V4)];
    connect(&lab.scanner, held, SocketAddr::new(Family::V4.host(), 11)).expect("a connection");
    daemon.wait_for_block(held);
    connect(&lab.scanner, late, SocketAddr::new(Family::V4.host(), 11)).expect("a connection");
    daemon.log().wait_for(&format!("ERROR: Could not block host {late}: MAX_BLOCKED reached"));
    assert_eq!(daemon.blocked(), [held]);
    assert_eq!(daemon.file_about("BLOCKED_FILE", late), [""; 0]);
}

#[test]
fn processes_side_by_side_share_one_set_of_maps() {
    let lab = Lab::new();
    let first = lab.portsentry("-tcp").start();
    let second = lab.portsentry("-audp").start();
    second.log().wait_for("Standby: another portsentry process");
    first.log().wait_for("Watching for all processes together: tcp, audp");
    let [over_tcp, over_udp, later] = [(); 3].map(|()| lab.source(Family::V4));
    lab.nmap(over_tcp, "-sT -p 11");
    lab.nmap(over_udp, "-sU -p 500");
    first.wait_for_block(over_tcp);
    first.wait_for_block(over_udp);
    drop(first.terminate());
    // The remaining process takes over, but only with its own mode.
    second.log().wait_for("replaced the program of an earlier run");
    lab.nmap(later, "-sU -p 501");
    second.log().wait_for(&format!("UDP scan from host: {later}/{later} to UDP port: 501"));
    let third = lab.portsentry("-audp").fail();
    assert!(third.text().contains("another portsentry uses the maps"), "{}", third.text());
}
