//! The daemon's knowledge of its host: watched interfaces, own addresses, and addresses that are never blocked.

use std::{
    fmt::Write,
    net::{IpAddr, SocketAddr},
    process::Command,
};

use nix::sys::signal::Signal;
use portsentry_tests::lab::{Daemon, Family, INTERFACE, Lab, Namespace, Probe, Reach, binary};

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Sends a SYN from a new source to a trap at `host`.
fn probe(lab: &Lab, host: IpAddr) -> (IpAddr, Probe) {
    let source = lab.source(Family::of(host));
    (source, Probe::tcp(&lab.scanner, source, SocketAddr::new(host, 11)))
}

/// Waits until `host` is watched.
fn wait_until_watched(lab: &Lab, daemon: &Daemon<'_>, host: IpAddr) {
    daemon.wait_until("it is watched", || {
        let (source, _probe) = probe(lab, host);
        daemon.settle();
        daemon.blocked().contains(&source)
    });
}

/// Returns the output of a portsentry command, including errors.
fn say(daemon: &Daemon<'_>, command: &str) -> String {
    let mut asked = daemon.lab().host.command(binary());
    asked.arg(command).arg("-c").arg(daemon.setup().config_path());
    let ended = asked.output().expect("portsentry starts");
    [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
}

/// Whether a probe with the spoofed address `source` is seen, but causes neither a block nor a fence.
fn is_exempt(lab: &Lab, daemon: &Daemon<'_>, source: &str) -> bool {
    lab.scapy(&[format!("IP(src='{source}', dst='{}')/TCP(dport=11, flags='S')", Family::V4.host())]);
    daemon.settle();
    let source = address(source);
    !daemon.blocked().contains(&source) && !daemon.fenced().contains(&source)
}

#[test]
fn addresses_of_local_routes_are_own_ones() {
    let lab = Lab::new();
    lab.host.ip("route add local 198.51.100.0/24 dev lo\nroute add local 2001:db8:1::/64 dev lo");
    lab.scanner.ip("route add 198.51.100.0/23 via 192.0.2.1\nroute add 2001:db8:1::/48 via 2001:db8::1");
    let service = lab.serve_tcp(8080);
    let daemon = lab.portsentry("-stcp").start();
    for host in ["198.51.100.7", "198.51.100.255", "2001:db8:1::7"].map(address) {
        let (source, _probe) = probe(&lab, host);
        daemon.wait_for_block(source);
    }
    assert!(service.answers_at(
        &lab.scanner,
        lab.source(Family::V4),
        address("198.51.100.9"),
        Reach::Expected
    ));
    // A route added later to another table.
    lab.host.ip("route add local 198.51.101.0/25 dev lo table 77");
    wait_until_watched(&lab, &daemon, address("198.51.101.7"));
    // A transparent proxy's route doesn't make other hosts' addresses local.
    lab.host.ip("route add local default dev lo table 78");
    let (source, _probe) = probe(&lab, address("198.51.101.200"));
    daemon.settle();
    assert!(!daemon.blocked().contains(&source));
    let (source, _probe) = probe(&lab, Family::V4.host());
    daemon.wait_for_block(source);
}

#[test]
fn next_hops_of_every_kind_are_never_blocked() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp").with("BLOCK_UNPROVEN", "1").start();
    assert!(!is_exempt(&lab, &daemon, "192.0.2.60"), "a host like any other");
    lab.host.ip("nexthop add id 1 via 192.0.2.61 dev eth0\n\
         nexthop add id 2 via 192.0.2.62 dev eth0\n\
         nexthop add id 10 group 1/2\n\
         route add 198.51.100.0/25 nhid 10\n\
         route add 198.51.100.128/25 nexthop via 192.0.2.63 dev eth0 nexthop via 192.0.2.64 dev eth0\n\
         route add 198.51.101.0/24 via 192.0.2.65 table 77");
    for gateway in ["192.0.2.61", "192.0.2.62", "192.0.2.63", "192.0.2.64", "192.0.2.65"] {
        daemon.wait_until("it is exempt", || say_ignored(&daemon).contains(gateway));
        assert!(is_exempt(&lab, &daemon, gateway), "{gateway}");
    }
}

/// Returns the networks that `portsentry block` refuses to block.
fn say_ignored(daemon: &Daemon<'_>) -> String {
    let gateways = (61..=65).map(|number| format!("192.0.2.{number}"));
    let mut asked = daemon.lab().host.command(binary());
    asked.arg("block").args(gateways).arg("-c").arg(daemon.setup().config_path());
    let ended = asked.output().expect("portsentry starts");
    String::from_utf8_lossy(&ended.stderr).into_owned()
}

/// Returns a script for `ip` that gives the loopback interface `count` addresses, each in its own network.
fn addresses(count: u32) -> String {
    let mut script = String::new();
    for number in 0..count {
        let _ = writeln!(
            script,
            "address add 10.{}.{}.{}/30 dev lo",
            number >> 14,
            number >> 6 & 255,
            number % 64 * 4 + 1
        );
    }
    script
}

#[test]
fn thousands_of_addresses_and_ignored_networks_find_room() {
    const MANY: u32 = 6000;
    let lab = Lab::new();
    lab.host.ip(&addresses(MANY));
    let setup = (0..20_000_u32).fold(lab.portsentry("-stcp"), |setup, number| {
        setup.ignoring(format!("100.{}.{}.0/25", number >> 8, number & 255))
    });
    let daemon = setup.start();
    lab.scanner.ip("route add 10.0.0.0/8 via 192.0.2.1");
    let (source, _probe) = probe(&lab, address("10.0.93.93"));
    daemon.wait_for_block(source);
    lab.host.ip("route add default via 192.0.2.60");
    daemon.wait_until("a new gateway is exempt", || is_exempt(&lab, &daemon, "192.0.2.60"));
    assert!(is_exempt(&lab, &daemon, "100.78.31.9"), "the last ignored network");
    assert!(!is_exempt(&lab, &daemon, "100.78.31.200"));
}

#[test]
fn too_many_addresses_are_refused_at_the_start_with_the_remedy() {
    let lab = Lab::new();
    lab.host.ip(&addresses(40));
    let ended = lab.portsentry("-stcp").with("MAX_ADDRESSES", "32").fail();
    let text = ended.text();
    assert_eq!(ended.code, Some(4), "{text}");
    assert!(text.contains("exceed MAX_ADDRESSES (32); raise it"), "{text}");
    assert!(text.contains("map LOCAL_V4: "), "{text}");
    let lab = Lab::new();
    let ignoring =
        (0..40).fold(lab.portsentry("-stcp"), |setup, number| setup.ignoring(format!("100.0.{number}.0/24")));
    let text = ignoring.with("MAX_ADDRESSES", "32").fail().text();
    assert!(text.contains("map IGNORED_V4: ") && text.contains("ignore fewer networks"), "{text}");
}

#[test]
fn where_there_is_no_room_what_is_in_effect_stays_and_gateways_are_added() {
    let lab = Lab::new();
    let daemon = lab
        .portsentry("-stcp")
        .ignoring("100.0.0.0/24")
        .with("BLOCK_UNPROVEN", "1")
        .with("MAX_ADDRESSES", "32")
        .start();
    lab.host.ip(&addresses(40));
    daemon.log().wait_for("exceed MAX_ADDRESSES (32); raise it");
    lab.host.ip("route add default via 192.0.2.60");
    daemon.wait_until("a new gateway is exempt", || is_exempt(&lab, &daemon, "192.0.2.60"));
    assert!(is_exempt(&lab, &daemon, "100.0.0.9"), "the ignored network stays");
    let (source, _probe) = probe(&lab, Family::V4.host());
    daemon.wait_for_block(source);
    let status = say(&daemon, "status");
    assert!(status.contains("exceed MAX_ADDRESSES (32)"), "{status}");
    // There is room again once they are removed.
    lab.host.ip(&addresses(40).replace("address add", "address delete"));
    daemon.log().wait_for("are in effect again");
}

#[test]
fn interfaces_that_are_not_there_are_waited_for() {
    for flags in ["-stcp -i ALL_NLO", "-stcp -i eth1"] {
        let lab = Lab::new();
        lab.host.ip(&format!("link delete {INTERFACE}"));
        let daemon = lab.portsentry(flags).start();
        let status = say(&daemon, "status");
        assert!(status.starts_with("enforcement  attached to no interface\n"), "{status}");
        if flags.ends_with("eth1") {
            daemon.log().wait_for("eth1: not there; it is watched as soon as it comes");
            assert!(status.contains("not watched  eth1: it is not there"), "{status}");
        } else {
            daemon.log().wait_for("there is no interface to watch");
        }
        let (host, scanner) = lab.plug_in_second(&lab.scanner);
        daemon.log().wait_for("eth1: native XDP");
        daemon.wait_until("probes on it count", || {
            let _probe = Probe::tcp(&lab.scanner, scanner, SocketAddr::new(host, 11));
            daemon.blocked().contains(&scanner)
        });
    }
}

#[test]
fn an_interface_that_refuses_keeps_no_other_from_being_watched() {
    let lab = Lab::new();
    let (host, scanner) = lab.plug_in_second(&lab.scanner);
    occupy(&lab);
    let daemon = lab.portsentry("-stcp -i ALL_NLO").start();
    daemon.log().wait_for("ERROR: interface eth1 already has another XDP program");
    let (source, _probe) = probe(&lab, Family::V4.host());
    daemon.wait_for_block(source);
    let status = say(&daemon, "status");
    assert!(status.contains("enforcement  attached to eth0\n"), "{status}");
    assert!(status.contains("not watched  eth1: interface eth1 already has another XDP program"), "{status}");
    // The daemon tries again once it may succeed.
    lab.host.run("ip", &["link", "set", "eth1", "xdpgeneric", "off"]);
    daemon.log().wait_for("eth1: native XDP");
    let _probe = Probe::tcp(&lab.scanner, scanner, SocketAddr::new(host, 11));
    daemon.wait_for_block(scanner);
    assert_eq!(daemon.log().count("eth1 already has another XDP program"), 1, "it is said once");
    assert!(!say(&daemon, "status").contains("not watched"));
    daemon.terminate();
    // No working interface is left.
    occupy(&lab);
    let ended = lab.portsentry("-stcp -i eth1").fail();
    assert_eq!(ended.code, Some(4), "{}", ended.text());
    assert!(ended.text().contains("interface eth1 already has another XDP program"), "{}", ended.text());
}

/// Attaches another XDP program to the host's second interface. It comes from an earlier daemon whose pins are
/// gone.
fn occupy(lab: &Lab) {
    let other = lab.other_pins().display().to_string();
    let first =
        lab.portsentry("-stcp -i eth0").with("PIN_PATH", &other).with("CONTROL_SOCKET", "off").start();
    let shown = lab.host.run("ip", &["-json", "link", "show", INTERFACE]);
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    let program = shown[0]["xdp"]["prog"]["id"].to_string();
    lab.host.run("bpftool", &["net", "attach", "xdpgeneric", "id", &program, "dev", "eth1"]);
    first.terminate();
}

/// Runs `ip` in `namespace`. Arguments may contain any bytes.
fn ip(namespace: &Namespace, words: &[&[u8]]) {
    use std::os::unix::ffi::OsStrExt;
    let mut command: Command = namespace.command("ip");
    let ended = command.args(words.iter().map(|word| std::ffi::OsStr::from_bytes(word))).output();
    let ended = ended.expect("`ip` starts");
    assert!(ended.status.success(), "{words:?}: {}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn names_may_be_any_bytes_and_alternative_ones() {
    let lab = Lab::new();
    lab.host.ip("link property add dev eth0 altname enp0s31f6-uplink");
    let setup = lab.portsentry("-stcp").with("INTERFACES", "enp0s31f6-uplink");
    let daemon = setup.start();
    daemon.log().wait_for("eth0: native XDP");
    daemon.terminate();
    let daemon = lab.portsentry("-stcp -i ALL_NLO").start();
    ip(&lab.host, &[b"link", b"add", b"\xff\xfe", b"type", b"veth", b"peer", b"name", b"x\"y\\z"]);
    daemon.log().wait_for("\\xff\\xfe: generic XDP, until it is configured");
    daemon.log().wait_for("x\"y\\z: generic XDP, until it is configured");
    ip(&lab.host, &[b"address", b"add", b"203.0.113.9/32", b"dev", b"\xff\xfe"]);
    ip(&lab.host, &[b"link", b"set", b"\xff\xfe", b"up"]);
    daemon.log().wait_for("\\xff\\xfe: native XDP, now that it is configured");
    // Later changes are still followed.
    lab.host.ip("address add 203.0.113.1/24 dev eth0");
    lab.scanner.ip("route add 203.0.113.1 via 192.0.2.1");
    wait_until_watched(&lab, &daemon, address("203.0.113.1"));
    daemon.signal(Signal::SIGHUP);
    daemon.log().wait_for("Configuration reloaded");
    let doctor = say(&daemon, "doctor");
    assert!(doctor.contains("\\xff\\xfe  already runs portsentry's program, natively"), "{doctor}");
}

#[test]
fn interfaces_of_containers_and_bridges_are_left_out_unless_named() {
    let lab = Lab::new();
    // A container's veth in a bridge, and a bridge without ports.
    lab.host.ip(&format!(
        "link add veth1 type veth peer name eth9 netns {}\nlink add docker0 type bridge\n\
         address add 203.0.113.1/24 dev docker0\nlink set docker0 up\nlink set veth1 up\n\
         link set veth1 master docker0\nlink add empty0 type bridge\ntuntap add tap0 mode tap",
        lab.bystander.name()
    ));
    let daemon = lab.portsentry("-stcp -i ALL_NLO").start();
    for line in [
        "adminalert: eth0: native XDP",
        "adminalert: docker0: generic XDP",
        "adminalert: veth1: not watched: the host's end of a container's veth pair, without an address",
        "adminalert: empty0: not watched: it has no ports",
        "adminalert: tap0: not watched: a tun or tap device",
    ] {
        daemon.log().wait_for(line);
    }
    for (command, line) in [
        ("status", "left out     empty0: it has no ports"),
        ("doctor", "not to be watched: a tun or tap device"),
        ("status", "enforcement  attached to eth0, docker0"),
    ] {
        let said = say(&daemon, command);
        assert!(said.contains(line), "{line}\n{said}");
    }
    // The bridge gets an uplink port, and the program sees frames there.
    lab.host.ip("link add up0 type veth peer name up1\nlink set up0 master docker0");
    daemon.log().wait_for("adminalert: docker0: not watched: its frames are judged at its ports, as up0");
    daemon.wait_until("it is detached", || !lab.host.run("ip", &["link", "show", "docker0"]).contains("xdp"));
    daemon.terminate();
    let daemon = lab.portsentry("-stcp -i tap0 -i empty0 -i veth1").start();
    for line in ["tap0: native XDP", "empty0: generic XDP", "veth1: native XDP"] {
        daemon.log().wait_for(line);
    }
}

#[test]
fn that_no_port_is_watched_is_said() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp -sudp").with("TCP_PORTS", "").with("UDP_PORTS", "").start();
    daemon.log().wait_for("ERROR: no port is watched");
    assert!(say(&daemon, "status").contains("\nports        none is watched"));
    let mut check = lab.host.command(binary());
    check.args(["-stcp", "-sudp", "check", "-c"]).arg(daemon.setup().config_path());
    let said = check.output().expect("portsentry starts").stdout;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("valid, but no port is watched"), "{said}");
}
