//! nmap scans with every technique that PortSentry detects. Checks the log lines, the blocked sources, and the
//! services for other clients.

use std::net::IpAddr;

use portsentry_tests::lab::{Daemon, Family, Lab, classic_record};

/// The expected consequence of a scan.
#[derive(Clone, Copy)]
enum Then {
    /// Its source is blocked for a probe of this port.
    Blocked(u16, &'static str),
    /// Nothing.
    Nothing,
}
use Then::{Blocked, Nothing};

/// A scan's nmap options, its log lines (`@` for the source), and its consequence.
type Scan = (&'static str, &'static [&'static str], Then);

const BOTH: &[Scan] = &[
    ("-sS -p 11", &["attackalert: TCP SYN/Normal scan from host: @ to TCP port: 11"], Blocked(11, "TCP")),
    ("-sT -p 11", &["attackalert: TCP SYN/Normal scan from host: @ to TCP port: 11"], Blocked(11, "TCP")),
    ("-sF -p 15", &["attackalert: TCP FIN scan from host: @ to TCP port: 15"], Blocked(15, "TCP")),
    ("-sN -p 11", &["attackalert:  TCP NULL scan from host: @ to TCP port: 11"], Blocked(11, "TCP")),
    ("-sX -p 11", &["attackalert: TCP XMAS scan from host: @ to TCP port: 11"], Blocked(11, "TCP")),
    ("-sU -p 69", &["attackalert: UDP scan from host: @ to UDP port: 69"], Blocked(69, "UDP")),
    (
        "-sS --scanflags SYNFIN -p 11",
        &["attackalert: Unknown Type: TCP Packet Flags: SYN: 1 FIN: 1 ACK: 0 PSH: 0 URG: 0 RST: 0 from \
                host: @ \
             to TCP port: 11"],
        Blocked(11, "TCP"),
    ),
    (
        "-sS --scanflags URG -p 11",
        &["attackalert: Unknown Type: TCP Packet Flags: SYN: 0 FIN: 0 ACK: 0 PSH: 0 URG: 1 RST: 0 from \
                host: @ \
             to TCP port: 11"],
        Blocked(11, "TCP"),
    ),
    (
        "-sS --scanflags SYNECECWR -p 11",
        &["attackalert: TCP SYN/Normal scan from host: @ to TCP port: 11"],
        Blocked(11, "TCP"),
    ),
    (
        "-sS --badsum --send-ip -p 11",
        &["attackalert: TCP SYN/Normal scan from host: @ to TCP port: 11"],
        Blocked(11, "TCP"),
    ),
    (
        "-sA -p 11",
        &["adminalert: Noted only (may belong to a closed connection): TCP ACK scan, source @, TCP port 11"],
        Nothing,
    ),
    (
        "-sM -p 11",
        &["adminalert: Noted only (may belong to a closed connection): TCP Maimon scan, source @, TCP \
                port 11"],
        Nothing,
    ),
    ("-sS -p 12", &[], Nothing),
    ("-sU -p 70", &[], Nothing),
];

/// Scans that exist only over IPv4.
const IPV4: &[Scan] = &[
    ("-sS -f -p 11", &["attackalert: TCP fragment scan from host: @ to TCP port: 11"], Blocked(11, "TCP")),
    (
        "-sS --ip-options R -p 11",
        &[
            "attackalert: TCP SYN/Normal scan from host: @ to TCP port: 11",
            "attackalert: Packet from host: @ to TCP port: 11 has IP options set (detection avoidance \
                technique).",
        ],
        Blocked(11, "TCP"),
    ),
    (
        "-sU --ip-options L -p 69",
        &[
            "attackalert: UDP scan from host: @ to UDP port: 69",
            "attackalert: Packet from host: @ to UDP port: 69 has IP options set (detection avoidance \
                technique).",
        ],
        Blocked(69, "UDP"),
    ),
];

fn assert_consequences(family: Family, scans: &[Scan]) {
    let lab = Lab::new();
    let services = [lab.serve_tcp(8080), lab.serve_udp(8080)];
    let daemon = lab.portsentry("-stcp -sudp -v").start();
    for (words, lines, then) in scans {
        let source = lab.source(family);
        lab.nmap(source, words);
        assert_consequence(&daemon, source, lines, *then, words);
    }
    services.iter().for_each(|service| service.assert_open_to_bystander(&lab));
}

#[test]
fn every_scan_over_ipv4_has_its_line_and_its_consequence() {
    assert_consequences(Family::V4, BOTH);
}

#[test]
fn every_scan_over_ipv6_has_its_line_and_its_consequence() {
    assert_consequences(Family::V6, BOTH);
}

#[test]
fn evasions_over_ipv4_have_their_line_and_their_consequence() {
    assert_consequences(Family::V4, IPV4);
}

fn assert_consequence(daemon: &Daemon<'_>, source: IpAddr, lines: &[&str], then: Then, what: &str) {
    let expected: Vec<_> =
        lines.iter().map(|line| line.replace('@', &format!("{source}/{source}"))).collect();
    assert_eq!(daemon.lines_about(source), expected, "{what}");
    match then {
        Nothing => {
            assert!(!daemon.blocked().contains(&source), "{what} blocks");
            assert_eq!(daemon.file_about("BLOCKED_FILE", source), [""; 0], "{what}");
        }
        Blocked(port, protocol) => {
            assert!(daemon.blocked().contains(&source), "{what} doesn't block {source}");
            daemon.wait_for_block(source);
            for file in ["BLOCKED_FILE", "HISTORY_FILE"] {
                let records = daemon.file_about(file, source);
                let [record] = records.as_slice() else { panic!("{what}: {records:?} in {file}") };
                assert!(
                    classic_record(record, source, (port, protocol, "Blocked")),
                    "{what}: {record} in {file}"
                );
            }
            let deny = if source.is_ipv4() {
                format!("ALL: {source} : DENY")
            } else {
                format!("ALL: [{source}] : DENY")
            };
            assert_eq!(daemon.file_about("WRAPPER_HOSTS_DENY", source), [deny], "{what}");
        }
    }
}
