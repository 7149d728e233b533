//! The ports in the shipped file: each has a reason there, and no honest program contacts one unasked.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::*;

/// Ports that Linux assigns to sockets that request none (`net.ipv4.ip_local_port_range`), and IANA's range for
/// that.
const EPHEMERAL: [RangeInclusive<u16>; 2] = [32768..=60999, 49152..=65535];
/// Source ports of RPC (`bindresvport` of glibc) and of name servers (unbound, dnsmasq).
const SENT_FROM: RangeInclusive<u16> = 600..=65535;

/// The "bad ports" in the WHATWG's Fetch standard: no browser opens them, whatever a page requests.
const NOT_FOR_BROWSERS: &str = "1,7,9,11,13,15,17,19-23,25,37,42-43,53,69,77,79,87,95,101-104,109-111,113,115,117,119,123,\
                                135,137,139,143,161,179,389,427,465,512-515,526,530-532,540,548,554,556,563,587,601,636,\
                                989-990,993,995,1719-1720,1723,2049,3659,4045,4190,5060-5061,6000,6566,6665-6669,6679,\
                                6697,10080";

/// Ports that software tries unasked, over TCP and over UDP.
const HONEST: [(&str, &str, &str); 24] = [
    ("Java's InetAddress.isReachable, Perl's Net::Ping", "7", ""),
    ("Wake-on-LAN", "", "7,9"),
    ("people whose server moved to another port", "21-22", ""),
    ("IRC networks that look for open proxies", "23,1080,3128,8080", ""),
    ("mail servers, for domains without MX record", "25", ""),
    ("resolvers, and encrypted DNS if a name server supports it", "53,853", "53,853,8853"),
    ("DHCP and network boot", "", "67-69,546-547,4011"),
    ("browsers, certificate authorities", "80,443,8080,8443", "80,443"),
    ("Windows, Kerberos, LDAP", "88,135,137-139,389,445,464,636,3268-3269,3389,5985", "88,137-138,389,464"),
    ("mail programs that guess their servers", "25,110,143,465,587,993,995,4190", ""),
    ("NFS and its clients", "111,2049,4045", "111,600-1023,2049,4045"),
    ("ident", "113", ""),
    ("NTP, PTP", "", "123,319-320"),
    ("routers", "179", "520-521,1985,3784-3785"),
    ("printers, and software that looks for them", "427,515,631,9100-9102", "161-162,427,631,9100"),
    ("syslog", "514,601,6514", "514"),
    ("macOS", "548,5900", ""),
    ("cameras and media players", "554,8554", ""),
    ("VPNs", "1194,1723", "500,1194,1701,4500,51820"),
    ("discovery on the local network", "5357-5358", "1900,3702,5353,5355,10001,17500,57621"),
    (
        "telephony, STUN and TURN",
        "2000,3478-3481,5060-5061,5349",
        "2000,3478-3481,5060-5061,5349,19302-19309",
    ),
    ("peer-to-peer", "6881-6999,51413", "6881-6999,51413"),
    ("games", "27015-27050", "3074,27000-27050"),
    ("RDP, VNC and their management", "3389,5900-5901", "3389"),
];

fn ports(list: &str) -> PortSet {
    good(&format!("TCP_PORTS=\"{list}\"")).ports_tcp
}

/// Returns the reasons in the shipped file's explanation of `setting`, which starts at `begin`.
fn reasons(begin: &str, setting: &str, protocol: &str) -> BTreeMap<u16, String> {
    let (_, text) = SHIPPED.split_once(begin).expect("a beginning");
    let (text, _) = text.split_once(&format!("\n{setting}=")).expect("a setting");
    let mut reasons = BTreeMap::new();
    for line in text.lines() {
        let Some((list, reason)) =
            line.strip_prefix('#').and_then(|line| line.trim_start().split_once(&format!("/{protocol} ")))
        else {
            continue;
        };
        let reason = reason.trim();
        assert!(reason.len() > 3, "{line}");
        for port in ports(list).iter() {
            let earlier = reasons.insert(port, reason.to_owned());
            assert_eq!(earlier, None, "{port}/{protocol} has two reasons");
        }
    }
    reasons
}

/// Returns each set of ports with its reasons.
fn lists() -> [(PortSet, BTreeMap<u16, String>); 4] {
    let shipped = good(SHIPPED);
    let (listed, excluded) = ("\n# What they are, and why", "\n# Not these");
    [
        (shipped.ports_tcp, reasons(listed, "TCP_PORTS", "tcp")),
        (shipped.ports_udp, reasons(listed, "UDP_PORTS", "udp")),
        (shipped.advanced_exclude_tcp, reasons(excluded, "ADVANCED_EXCLUDE_TCP", "tcp")),
        (shipped.advanced_exclude_udp, reasons(excluded, "ADVANCED_EXCLUDE_UDP", "udp")),
    ]
}

#[test]
fn each_shipped_port_has_its_reason_and_each_reason_its_port() {
    for (set, reasons) in lists() {
        assert!(set.len() > 5, "{set}");
        assert_eq!(set.to_string(), reasons.keys().copied().collect::<PortSet>().to_string());
    }
}

#[test]
fn a_late_answer_goes_to_no_shipped_port() {
    let shipped = good(SHIPPED);
    for range in EPHEMERAL {
        for port in range {
            assert!(!shipped.ports_tcp.contains(port) && !shipped.ports_udp.contains(port), "{port}");
            assert!(
                !shipped.advanced_tcp().contains(port) && !shipped.advanced_udp().contains(port),
                "{port}"
            );
        }
    }
    for port in SENT_FROM {
        assert!(!shipped.ports_udp.contains(port) && !shipped.advanced_udp().contains(port), "{port}/udp");
    }
}

#[test]
fn honest_software_tries_no_shipped_port() {
    let shipped = good(SHIPPED);
    let sets = [
        [&shipped.ports_tcp, &shipped.advanced_tcp()].map(Clone::clone),
        [&shipped.ports_udp, &shipped.advanced_udp()].map(Clone::clone),
    ];
    for (software, tcp, udp) in HONEST {
        for (tried, watched) in [tcp, udp].map(ports).iter().zip(&sets) {
            let hit: Vec<u16> =
                tried.iter().filter(|&port| watched.iter().any(|set| set.contains(port))).collect();
            assert_eq!(hit, [0; 0], "{software}");
        }
    }
}

#[test]
fn no_web_page_sends_its_readers_to_a_shipped_port() {
    let reached = good(SHIPPED).ports_tcp.difference(&ports(NOT_FOR_BROWSERS));
    assert_eq!(reached.to_string(), "");
}

#[test]
fn a_sweep_and_nmaps_commonest_ports_meet_two_traps() {
    let traps = good(SHIPPED).ports_tcp;
    assert!(traps.contains(1), "a sweep begins there");
    // The ports of `nmap -F`.
    let common = ports(
        "7,9,13,21-23,25-26,37,53,79-81,88,106,110-111,113,119,135,139,143-144,179,199,389,427,443-445,513",
    );
    assert!(common.iter().filter(|&port| traps.contains(port)).count() >= 4);
}

#[test]
fn blocks_of_the_shipped_file_end_and_those_of_older_files_do_not() {
    let terms = |text: &str| {
        let config = good(text);
        (config.block_time, config.block_time_factor, config.max_block_time)
    };
    let hour = Duration::from_hours(1);
    assert_eq!(terms(SHIPPED), (hour, 2, 30 * 24 * hour));
    for older in [DEBIAN, REVIVAL, ""] {
        assert_eq!(terms(older).0, Duration::ZERO, "for good");
    }
}
