//! Answers to the host's own requests are no probes; similar packets that answer no request are.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use portsentry_tests::lab::{Daemon, FAMILIES, Family, Lab, Probe};

const NOTHING: [&str; 0] = [];

#[test]
fn a_lease_is_no_probe_and_other_datagrams_from_there_are() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-audp").start();
    for (family, server, client) in [(Family::V4, 67, 68), (Family::V6, 547, 546)] {
        let send = |source, port| {
            lab.scanner.enter(|| {
                let socket = UdpSocket::bind(SocketAddr::new(source, server)).expect("a server's port");
                socket.send_to(b"lease", SocketAddr::new(family.host(), port)).expect("it is sent");
            });
        };
        let [honest, scanner] = [lab.source(family), lab.source(family)];
        send(honest, client);
        assert_eq!(told_over_udp(&daemon, honest), NOTHING);
        send(scanner, 69);
        daemon
            .log()
            .wait_for(&format!("attackalert: UDP scan from host: {scanner}/{scanner} to UDP port: 69"));
    }
}

/// Returns the log lines about `source`, after the log has a later datagram's line.
fn told_over_udp(daemon: &Daemon<'_>, source: IpAddr) -> Vec<String> {
    let last = daemon.lab().source(Family::V4);
    let _probe = Probe::udp(&daemon.lab().scanner, last, SocketAddr::new(Family::V4.host(), 7));
    daemon.log().wait_for(&last.to_string());
    daemon.told_of(source)
}

#[test]
fn an_answer_that_comes_late_is_no_probe() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-sudp").with("UDP_PORTS", "7,32771,34555,54321").start();
    for family in FAMILIES {
        let server = lab.source(family);
        for port in [32_771, 34_555, 54_321] {
            let question = lab.host.enter(|| UdpSocket::bind(SocketAddr::new(family.host(), port)));
            drop(question.expect("a port to ask from"));
            lab.scanner.enter(|| {
                let socket = UdpSocket::bind(SocketAddr::new(server, 5353)).expect("a server's port");
                socket.send_to(b"late", SocketAddr::new(family.host(), port)).expect("it is sent");
            });
        }
        assert_eq!(told_over_udp(&daemon, server), NOTHING);
    }
}

#[test]
fn ephemeral_ports_are_those_of_the_moment() {
    let lab = Lab::new();
    let set =
        |range: &str| lab.host.run("sysctl", &["-qw", &format!("net.ipv4.ip_local_port_range={range}")]);
    let daemon = lab.portsentry("-sudp").with("UDP_PORTS", "7,34555").start();
    let answer = |source| Probe::udp(&lab.scanner, source, SocketAddr::new(Family::V4.host(), 34_555));
    let source = lab.source(Family::V4);
    let _answer = answer(source);
    assert_eq!(told_over_udp(&daemon, source), NOTHING);
    set("50000 60999");
    daemon.log().wait_for("Ephemeral ports changed to 50000-60999");
    let source = lab.source(Family::V4);
    daemon.wait_until("a port that is no longer ephemeral is a trap", || {
        let _probe = answer(source);
        daemon.blocked().contains(&source)
    });
    set("32768 60999");
    daemon.log().wait_for("Ephemeral ports changed to 32768-60999");
    let source = lab.source(Family::V4);
    let _answer = answer(source);
    assert_eq!(told_over_udp(&daemon, source), NOTHING);
}
