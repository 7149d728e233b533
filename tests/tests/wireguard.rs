//! A `WireGuard` tunnel, watched on its interface. Requires a kernel that supports it, which `cargo xtask vm` boots.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use portsentry_tests::lab::{Lab, Namespace, Probe, Talk};

/// The addresses within the tunnel, by family: the host, an honest client, a scanner.
const ENDS: [[IpAddr; 3]; 2] = [
    [
        IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
        IpAddr::V4(Ipv4Addr::new(198, 51, 100, 2)),
        IpAddr::V4(Ipv4Addr::new(198, 51, 100, 3)),
    ],
    [
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 1)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 2)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 3)),
    ],
];
/// An unwatched port, and a trap.
const SERVICE: u16 = 8080;
const TRAP: u16 = 11;

/// Creates one end of the tunnel with its own key. Returns the public key.
fn make_end(lab: &Lab, namespace: &Namespace, number: u8) -> String {
    let key = lab.files().join(format!("key{number}"));
    // 31 zero octets and one with the number, in Base64.
    fs::write(&key, format!("{}{}=\n", "A".repeat(40), ["AAE", "AAI"][usize::from(number)])).expect("a key");
    namespace.ip("link add wg0 type wireguard");
    namespace.run("wg", &["set", "wg0", "private-key", &key.to_string_lossy(), "listen-port", "51820"]);
    namespace.run("wg", &["show", "wg0", "public-key"]).trim().to_owned()
}

/// Connects both ends over a cable with this MTU.
fn dig(lab: &Lab, mtu: u16) {
    let (host, scanner) = lab.plug_in_second(&lab.scanner);
    let ends = [(&lab.host, host), (&lab.scanner, scanner)];
    let keys = [make_end(lab, &lab.host, 0), make_end(lab, &lab.scanner, 1)];
    for (near, far) in [(0, 1), (1, 0)] {
        let (namespace, endpoint) = (ends[near].0, format!("{}:51820", ends[far].1));
        let allowed = "198.51.100.0/24,2001:db8:77::/64";
        namespace
            .run("wg", &["set", "wg0", "peer", &keys[far], "endpoint", &endpoint, "allowed-ips", allowed]);
        namespace.ip(&format!("link set eth1 mtu {mtu}\nlink set wg0 mtu {} up", mtu - 80));
        for [host, client, scanner] in ENDS {
            let own = if near == 0 { vec![host] } else { vec![client, scanner] };
            for address in own {
                let (length, nodad) = if address.is_ipv4() { (24, "") } else { (64, " nodad") };
                namespace.ip(&format!("address add {address}/{length} dev wg0{nodad}"));
            }
        }
    }
}

fn assert_watched(mtu: u16) {
    let lab = Lab::new();
    dig(&lab, mtu);
    let daemon = lab.portsentry("-stcp").with("INTERFACES", "wg0").start();
    assert!(lab.host.run("ip", &["link", "show", "wg0"]).contains("xdpgeneric"));
    for [host, client, scanner] in ENDS {
        let talk = Talk::begin(&lab.host, SocketAddr::new(host, SERVICE), &lab.scanner, client);
        talk.go_on();
        let _probe = Probe::tcp(&lab.scanner, scanner, SocketAddr::new(host, TRAP));
        daemon.wait_for_block(scanner);
        let line =
            format!("attackalert: TCP SYN/Normal scan from host: {scanner}/{scanner} to TCP port: {TRAP}");
        assert_eq!(daemon.told_of(scanner), [line]);
        let before = daemon.counter("dropped");
        daemon.wait_until("what it sends is dropped", || {
            let _probe = Probe::tcp(&lab.scanner, scanner, SocketAddr::new(host, SERVICE));
            daemon.counter("dropped") > before
        });
        talk.go_on();
        assert!(!daemon.blocked().contains(&client) && daemon.fenced().is_empty());
    }
    for counter in ["malformed_ipv4", "malformed_ipv6", "malformed_tcp", "malformed_link"] {
        assert_eq!(daemon.counter(counter), 0, "{counter}");
    }
}

#[ignore = "needs WireGuard: `cargo xtask vm` runs it"]
#[test]
fn a_tunnel_is_watched() {
    assert_watched(1500);
}

#[ignore = "needs WireGuard: `cargo xtask vm` runs it"]
#[test]
fn a_tunnel_of_jumbo_frames_is_watched() {
    assert_watched(9000);
}
