//! Connections that the kernel accepts without checking a number of its own. They are reported, their source is
//! fenced, and they prove nothing.

use std::{
    io::Read,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use etherparse::PacketBuilder;
use portsentry_tests::lab::{Daemon, FAMILIES, Family, INTERFACE, Lab, Wire, hardware_address, segment};

const TRAP: u16 = 11;
const PATIENCE: Duration = Duration::from_secs(10);
/// The Fast Open option that requests a cookie (RFC 7413), padded to a whole word.
const FAST_OPEN: [u8; 4] = [34, 2, 1, 1];

/// A daemon that accepts connections to its ports, and requires proof.
fn taking(lab: &Lab) -> Daemon<'_> {
    lab.portsentry("-tcp").with("BLOCK_UNPROVEN", "0").start()
}

/// Sets a kernel parameter of the host.
fn set(lab: &Lab, setting: &str) {
    lab.host.run("sysctl", &["-qw", setting]);
}

/// Connects to a trap from `source`, and waits until the connection is closed.
fn visit(lab: &Lab, source: IpAddr, port: u16) {
    let host = Family::of(source).host();
    let to = SocketAddr::new(host, port);
    let mut stream = lab.scanner.connect_from(source, to, PATIENCE).expect("a trap");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    assert_eq!(stream.read(&mut [0; 16]).expect("an end"), 0);
}

fn wait_for_fence(daemon: &Daemon<'_>, source: IpAddr) {
    daemon.log().wait_for(&format!("Host {source} has been fenced"));
    assert!(daemon.fenced().contains(&source) && !daemon.blocked().contains(&source));
}

/// With SYN cookies, the kernel accepts any matching number, without a limit on attempts.
#[test]
fn a_connection_by_the_kernels_syn_cookies_proves_nothing() {
    for timestamps in ["0", "1"] {
        let lab = Lab::new();
        let daemon = taking(&lab);
        set(&lab, &format!("net.ipv4.tcp_timestamps={timestamps}"));
        lab.scanner.run("sysctl", &["-qw", &format!("net.ipv4.tcp_timestamps={timestamps}")]);
        for family in FAMILIES {
            let [by_cookie, awaited] = [lab.source(family), lab.source(family)];
            set(&lab, "net.ipv4.tcp_syncookies=2");
            visit(&lab, by_cookie, TRAP);
            let line = format!("attackalert: Connect from host: {by_cookie}/{by_cookie} to TCP port: {TRAP}");
            daemon.log().wait_for(&line);
            wait_for_fence(&daemon, by_cookie);
            set(&lab, "net.ipv4.tcp_syncookies=1");
            visit(&lab, awaited, TRAP);
            daemon.log().wait_for(&format!(
                "Host {awaited} has been blocked in the kernel (proof: completed connection)"
            ));
        }
    }
}

/// The same, once a flood has filled the listener's queue and the kernel switches to cookies.
#[test]
fn a_flood_that_makes_the_kernel_use_cookies_makes_no_proof() {
    let lab = Lab::new();
    set(&lab, "net.core.somaxconn=16");
    set(&lab, "net.ipv4.tcp_max_syn_backlog=16");
    let daemon = taking(&lab);
    let wire = Wire::mouth(&lab.scanner);
    // Unused addresses: no answer removes their SYNs from the queue.
    lab.route_to_nowhere("198.18.0.0/16");
    let source = lab.source(Family::V4);
    for number in 0..2000_u32 {
        let from = Ipv4Addr::from_bits(Ipv4Addr::new(198, 18, 0, 1).to_bits() + number);
        wire.send_frame(&forged(from, &[], &[]));
    }
    daemon.wait_until("the kernel uses cookies", || cookies(&lab, "SyncookiesSent") > 0);
    visit(&lab, source, TRAP);
    assert!(cookies(&lab, "SyncookiesRecv") > 0, "it was accepted by a cookie");
    wait_for_fence(&daemon, source);
}

/// A single spoofed SYN with data opens a connection if Fast Open is allowed without a cookie (0x200), even on
/// sockets that don't request it (0x400).
#[test]
fn fast_open_makes_no_connection_of_one_packet() {
    let lab = Lab::new();
    for setting in ["0x203", "0x403", "0x603"] {
        set(
            &lab,
            &format!("net.ipv4.tcp_fastopen={}", u16::from_str_radix(&setting[2..], 16).expect("a number")),
        );
        let daemon = taking(&lab);
        let wire = Wire::open(&lab.scanner);
        let framed = lab.source(Family::V4);
        let IpAddr::V4(from) = framed else { panic!("{framed} is no IPv4 address") };
        // The scanner must be silent, like a host that doesn't exist.
        lab.scanner.ip(&format!("address del {framed}/24 dev {INTERFACE}\n"));
        let there = hardware_address(2);
        lab.host.ip(&format!("neighbour replace {framed} lladdr {there} dev {INTERFACE} nud permanent\n"));
        wire.send_frame(&forged(from, &FAST_OPEN, b"hello"));
        let answer = wire.expect("an answer", |it| it.destination.ip() == framed && it.tcp.syn);
        assert_eq!(answer.tcp.acknowledgment_number, 2, "{setting}: the data of a SYN is not taken");
        assert_eq!(daemon.lines_about(framed), [""; 0], "{setting}");
        assert!(!daemon.fenced().contains(&framed) && !daemon.blocked().contains(&framed), "{setting}");
        let source = lab.source(Family::V4);
        visit(&lab, source, TRAP);
        daemon
            .log()
            .wait_for(&format!("Host {source} has been blocked in the kernel (proof: completed connection)"));
        drop(daemon.terminate());
    }
    assert!(segment(&forged(Ipv4Addr::LOCALHOST, &FAST_OPEN, b"hello")).is_some_and(|it| it.is_sound));
}

/// Returns a SYN to a trap with valid checksums, as any host on the link could send it.
fn forged(from: Ipv4Addr, options: &[u8], data: &[u8]) -> Vec<u8> {
    let IpAddr::V4(host) = Family::V4.host() else { unreachable!("an address of IPv4's") };
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1])
        .ipv4(from.octets(), host.octets(), 64)
        .tcp(4444, TRAP, 1, 1024)
        .syn()
        .options_raw(options)
        .expect("options")
        .write(&mut frame, data)
        .expect("a frame");
    frame
}

/// Returns the value of a `TcpExt` counter of the host's kernel (`/proc/net/netstat`).
fn cookies(lab: &Lab, name: &str) -> u64 {
    let text = lab.host.run("cat", &["/proc/net/netstat"]);
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
    let names = lines.next().expect("names").split(' ');
    let values = lines.next().expect("values").split(' ');
    let value = names.zip(values).find(|(found, _)| *found == name).expect("a counter").1;
    value.parse().expect("a number")
}
