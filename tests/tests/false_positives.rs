//! False positives: packets that must never count as probes, and hosts that must never be blocked.

use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};

use portsentry_common::classify::Protocol;
use portsentry_tests::lab::{FAMILIES, Family, INTERFACE, Lab, Probe, Reach, Service};
use socket2::{Domain, Socket, Type};

const NOTHING: [&str; 0] = [];

#[test]
fn a_port_with_a_live_service_is_silent_until_the_service_ends() {
    let lab = Lab::new();
    let services = [lab.serve_tcp(80), lab.serve_udp(69)];
    let daemon = lab.portsentry("-stcp -sudp").with("SERVED_GRACE", "0").start();
    for family in FAMILIES {
        let source = lab.source(family);
        for words in [
            "-sS -p 80",
            "-sT -p 80",
            "-sF -p 80",
            "-sN -p 80",
            "-sX -p 80",
            "-sA -p 80",
            "-sM -p 80",
            "-sU -p 69",
        ] {
            lab.nmap(source, words);
            assert_eq!(daemon.lines_about(source), NOTHING, "{words}");
        }
        assert!(services.iter().all(|service| service.answers(&lab.scanner, source, Reach::Expected)));
    }
    drop(services);
    for family in FAMILIES {
        let [tcp, udp] = [lab.source(family), lab.source(family)];
        lab.nmap(tcp, "-sS -p 80");
        daemon.settle();
        assert!(daemon.blocked().contains(&tcp), "{:?}", daemon.log().lines());
        // The benign-flow cache keeps the flow for a moment.
        daemon.wait_until("the service is forgotten", || {
            lab.nmap(udp, "-sU -p 69");
            daemon.blocked().contains(&udp)
        });
    }
}

#[test]
fn a_connection_that_lingers_does_not_make_a_port_used() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp").with("SERVED_GRACE", "0").start();
    let service = lab.serve_tcp(79);
    // Usually the service closes first, so that its end stays in TIME-WAIT.
    daemon.wait_until("a connection waits", || {
        service.assert_open_to_bystander(&lab);
        !lab.host.run("ss", &["-Htan", "state", "time-wait", "sport", "=", "79"]).is_empty()
    });
    drop(service);
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 79");
    assert_eq!(
        daemon.lines_about(source),
        [format!("attackalert: TCP SYN/Normal scan from host: {source}/{source} to TCP port: 79")]
    );
}

#[test]
fn a_service_on_one_address_family_leaves_the_other_watched() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp").start();
    let listener = lab.host.enter(|| {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        listener.bind(&SocketAddr::new(Family::V4.host(), 80).into())?;
        listener.listen(8).map(|()| listener)
    });
    let _listener = listener.expect("a service on IPv4");
    let [over_v4, over_v6] = FAMILIES.map(|family| lab.source(family));
    lab.nmap(over_v4, "-sS -p 80");
    lab.nmap(over_v6, "-sS -p 80");
    assert_eq!(daemon.lines_about(over_v4), NOTHING);
    assert_eq!(daemon.lines_about(over_v6).len(), 1);
}

#[test]
fn answers_to_the_hosts_own_traffic_are_no_probes() {
    let lab = Lab::new();
    let _services =
        [Protocol::Tcp, Protocol::Udp].map(|protocol| Service::start(&lab.scanner, protocol, 7777));
    let daemon = lab.portsentry("-atcp -audp").start();
    for family in FAMILIES {
        let peer = lab.source(family);
        // Sent from a watched port, to a served and to an unserved port.
        let client = |own: u16, port: u16| {
            let socket = Socket::new(Domain::for_address(SocketAddr::new(peer, port)), Type::STREAM, None)?;
            socket.bind(&SocketAddr::new(family.host(), own).into())?;
            socket.connect(&SocketAddr::new(peer, port).into()).map(|()| TcpStream::from(socket))
        };
        lab.host.enter(|| {
            let served = client(600, 7777).expect("the peer's service answers");
            drop(served);
            assert!(client(601, 7778).is_err(), "no listener there");
            let datagrams = UdpSocket::bind(SocketAddr::new(family.host(), 602)).expect("a watched UDP port");
            datagrams.send_to(b"hello", SocketAddr::new(peer, 7777)).expect("a datagram is sent");
            datagrams.recv(&mut [0; 5]).expect("the answer comes");
        });
        assert_eq!(daemon.lines_about(peer), NOTHING);
        assert!(!daemon.blocked().contains(&peer));
    }
}

#[test]
fn an_ignored_scanner_is_noted_and_never_blocked() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let sources = FAMILIES.map(|family| lab.source(family));
    let daemon = lab
        .portsentry("-stcp -sudp -v")
        .ignoring(format!("{}/30", sources[0]))
        .ignoring(format!("{}  # the auditor", sources[1]))
        .start();
    for source in sources {
        lab.nmap(source, "-sS -p 1,7,11");
        lab.nmap(source, "-sU -p 7,69");
        let lines = daemon.lines_about(source);
        let noted = |what: &str, protocol: &str, port: u16| {
            format!(
                "adminalert: Noted only (ignored source): {what}, source {source}/{source}, {protocol} port {port}"
            )
        };
        for expected in [noted("TCP SYN/Normal scan", "TCP", 11), noted("UDP scan", "UDP", 69)] {
            assert!(lines.contains(&expected), "{expected} isn't in {lines:?}");
        }
        assert_eq!(lines.len(), 5, "{lines:?}");
        assert!(lines.iter().all(|line| line.starts_with("adminalert: Noted only")), "{lines:?}");
        assert!(service.answers(&lab.scanner, source, Reach::Expected));
        assert!(!daemon.blocked().contains(&source));
        for file in ["BLOCKED_FILE", "HISTORY_FILE", "WRAPPER_HOSTS_DENY"] {
            assert_eq!(daemon.file_about(file, source), NOTHING, "{file}");
        }
    }
}

#[test]
fn broadcast_and_multicast_never_count() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-sudp").start();
    let [v4, v6] = FAMILIES.map(|family| lab.source(family));
    let send = |source: IpAddr, to: &str| {
        let socket = UdpSocket::bind(SocketAddr::new(source, 0))?;
        socket.set_broadcast(true)?;
        socket.send_to(b"hello", to)
    };
    let index = lab.scanner.enter(|| nix::net::if_::if_nametoindex(INTERFACE)).expect("the interface");
    lab.scanner.ip(&format!("route add 224.0.0.0/4 dev {INTERFACE}"));
    lab.scanner.enter(|| {
        for to in ["192.0.2.255:69", "255.255.255.255:69", "224.0.0.1:69"] {
            send(v4, to).unwrap_or_else(|error| panic!("{to}: {error}"));
        }
        send(v6, &format!("[ff02::1%{index}]:69")).expect("a datagram to all nodes");
    });
    assert_eq!(daemon.lines_about(v4), NOTHING);
    assert_eq!(daemon.lines_about(v6), NOTHING);
    // The same datagram to the host's own address counts.
    let _probe = Probe::udp(&lab.scanner, v4, SocketAddr::new(Family::V4.host(), 69));
    assert_eq!(daemon.lines_about(v4).len(), 1);
}
