//! Evasive scans: extension headers, fragments, VLAN tags, and spoofed addresses.

use std::net::IpAddr;

use portsentry_tests::lab::{FAMILIES, Family, Lab};

fn syn(source: IpAddr, port: u16) -> String {
    format!("attackalert: TCP SYN/Normal scan from host: {source}/{source} to TCP port: {port}")
}

fn udp(source: IpAddr, port: u16) -> String {
    format!("attackalert: UDP scan from host: {source}/{source} to UDP port: {port}")
}

/// Headers between the IPv6 header and the transport header, in scapy's syntax.
const EXTENSIONS: [(&str, &str); 8] = [
    ("hop-by-hop options", "IPv6ExtHdrHopByHop()/"),
    ("destination options", "IPv6ExtHdrDestOpt(options=[PadN(optdata=b'12345678')])/"),
    ("a routing header that is used up", "IPv6ExtHdrRouting(type=4, segleft=0)/"),
    ("an atomic fragment", "IPv6ExtHdrFragment(offset=0, m=0, id=1)/"),
    ("a first fragment", "IPv6ExtHdrFragment(offset=0, m=1, id=2)/"),
    ("an authentication header", "AH(nh=NEXT, icv=b'123456789012', payloadlen=4)/"),
    ("hop-by-hop and destination options", "IPv6ExtHdrHopByHop()/IPv6ExtHdrDestOpt()/"),
    (
        "all of them",
        "IPv6ExtHdrHopByHop()/IPv6ExtHdrDestOpt()/IPv6ExtHdrRouting(type=4, segleft=0)/\
         IPv6ExtHdrFragment(offset=0, m=0, id=3)/AH(nh=NEXT, icv=b'123456789012', payloadlen=4)/",
    ),
];

#[test]
fn extension_headers_hide_nothing() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let daemon = lab.portsentry("-stcp -sudp").start();
    let host = Family::V6.host();
    let probes: Vec<_> = EXTENSIONS
        .iter()
        .flat_map(|(what, headers)| {
            [
                ("6", "TCP(dport=11, flags='S')", syn as fn(IpAddr, u16) -> String, 11),
                ("17", "UDP(dport=69)/b'x'", udp, 69),
            ]
            .map(|(number, transport, line, port)| {
                let source = lab.source(Family::V6);
                // Scapy doesn't fill in the header after an authentication header.
                let headers = headers.replace("NEXT", number);
                let packet = format!("IPv6(src='{source}', dst='{host}')/{headers}{transport}");
                (*what, source, packet, line(source, port))
            })
        })
        .collect();
    lab.scapy(&probes.iter().map(|(_, _, packet, _)| packet.clone()).collect::<Vec<_>>());
    daemon.settle();
    for (what, source, _, line) in &probes {
        let lines = daemon.told_of(*source);
        let (attack, others): (Vec<_>, Vec<_>) = lines.into_iter().partition(|found| found == line);
        assert_eq!(attack.len(), 1, "{what}: {line}");
        let options = |found: &String| found.contains("has IP options set");
        assert!(others.iter().all(options), "{what}: {others:?}");
        assert!(daemon.blocked().contains(source), "{what}");
    }
    service.assert_open_to_bystander(&lab);
}

#[test]
fn a_fragment_that_is_not_the_first_is_no_probe_and_hides_none() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp -sudp").start();
    let [harmless, guilty] = [lab.source(Family::V4), lab.source(Family::V4)];
    let host = Family::V4.host();
    lab.scapy(&[
        // The apparent ports and flags there are payload.
        format!(
            "IP(src='{harmless}', dst='{host}', id=7, frag=5, proto=6)/Raw(bytes(TCP(dport=11, flags='S')))"
        ),
        format!(
            "IP(src='{guilty}', dst='{host}', id=8, flags='MF', proto=6)/Raw(bytes(TCP(dport=11, flags='S')))"
        ),
        format!("IP(src='{guilty}', dst='{host}', id=8, frag=3, proto=6)/Raw(b'12345678')"),
    ]);
    daemon.settle();
    assert_eq!(daemon.log().lines_about(harmless), [""; 0]);
    assert_eq!(daemon.log().lines_about(guilty)[0], syn(guilty, 11));
    assert!(!daemon.blocked().contains(&harmless));
}

#[test]
fn vlan_tags_hide_nothing() {
    let lab = Lab::new();
    lab.keep_tags_in_frames();
    let service = lab.serve_tcp(8080);
    let daemon = lab.portsentry("-stcp -sudp").start();
    let [once, twice, thrice] = [lab.source(Family::V4), lab.source(Family::V4), lab.source(Family::V4)];
    let over_v6 = lab.source(Family::V6);
    lab.masscan(once, "-p 11 --adapter-vlan 7");
    let tagged = |tags: &str, network: &str, source: IpAddr, host: IpAddr| {
        format!("{tags}/{network}(src='{source}', dst='{host}')/TCP(dport=11, flags='S')")
    };
    let (v4, v6) = (Family::V4.host(), Family::V6.host());
    lab.scapy(&[
        tagged("Dot1AD(vlan=5)/Dot1Q(vlan=7)", "IP", twice, v4),
        tagged("Dot1AD(vlan=5)/Dot1Q(vlan=7)", "IPv6", over_v6, v6),
        tagged("Dot1AD(vlan=5)/Dot1Q(vlan=7)/Dot1Q(vlan=8)", "IP", thrice, v4),
    ]);
    for source in [once, twice, thrice, over_v6] {
        assert_eq!(daemon.lines_about(source), [syn(source, 11)]);
        assert!(daemon.blocked().contains(&source));
    }
    let dropped = daemon.counter("dropped");
    lab.scapy(&[tagged("Dot1Q(vlan=9)", "IP", twice, v4), tagged("Dot1Q(vlan=9)", "IPv6", over_v6, v6)]);
    daemon.settle();
    assert_eq!(daemon.counter("dropped"), dropped + 2, "a blocked source's tagged packets are dropped");
    service.assert_open_to_bystander(&lab);
}

#[test]
fn a_decoy_gets_its_own_line_and_nobody_else_is_blocked() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let daemon = lab.portsentry("-stcp").start();
    let mut expected = Vec::new();
    for family in FAMILIES {
        let [decoy, scanner] = [lab.source(family), lab.source(family)];
        lab.nmap(scanner, &format!("-sS -p 11 -D {decoy},ME"));
        expected.extend([decoy, scanner]);
    }
    daemon.settle();
    for source in &expected {
        assert_eq!(daemon.told_of(*source), [syn(*source, 11)]);
    }
    let (known, others): (Vec<_>, Vec<_>) =
        daemon.blocked().into_iter().partition(|source| expected.contains(source));
    assert_eq!((known.len(), others.len()), (4, 1), "only these and the source that ended it");
    service.assert_open_to_bystander(&lab);
}

#[test]
fn spoofing_the_gateway_an_ignored_host_or_the_host_itself_blocks_nobody() {
    let lab = Lab::new();
    let ignored = lab.source(Family::V4);
    // The bystander is the host's gateway.
    lab.host.ip(&format!("route add default via {}", Family::V4.bystander()));
    let service = lab.serve_tcp(8080);
    let daemon = lab.portsentry("-stcp -sudp -v").ignoring(ignored).start();
    let scanner = lab.source(Family::V4);
    let spoofed = [Family::V4.bystander(), ignored, Family::V4.host()];
    let decoys = spoofed.map(|address| address.to_string()).join(",");
    lab.nmap(scanner, &format!("-sS -p 11,15,79 -D {decoys},ME"));
    lab.nmap(lab.source(Family::V4), &format!("-sU -p 7,69 -D {decoys},ME"));
    daemon.settle();
    let blocked = daemon.blocked();
    assert!(!daemon.log().lines_about(ignored).is_empty(), "the spoofed probes arrived");
    for address in spoofed {
        assert!(!blocked.contains(&address), "{address} is blocked");
        let lines = daemon.log().lines_about(address);
        assert!(
            lines.iter().all(|line| line.starts_with("adminalert: Noted only (ignored source)")),
            "{lines:?}"
        );
        for file in ["BLOCKED_FILE", "HISTORY_FILE", "WRAPPER_HOSTS_DENY"] {
            assert_eq!(daemon.file_about(file, address), [""; 0], "{file}");
        }
    }
    assert!(blocked.contains(&scanner));
    service.assert_open_to_bystander(&lab);
}
