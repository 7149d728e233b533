//! IPv6 sources are counted, fenced and blocked by their network. Neighbours on a link are separate sources.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream};

use portsentry_tests::lab::{FAMILIES, Family, Lab, Namespace, Portsentry};

const TRAPS: [u16; 3] = [11, 79, 111];
const SERVICE: u16 = 8080;

/// Gives the scanner an address in a network to which the host has a route, and returns it.
fn address(lab: &Lab, network: u16, host: u16) -> IpAddr {
    let address = Ipv6Addr::new(0x2001, 0xdb8, 0xaaaa, network, 0, 0, 0, host);
    lab.scanner.ip(&format!("address add {address}/128 dev eth0 nodad\n"));
    address.into()
}

/// Returns a lab with networks behind the scanner.
fn lab() -> Lab {
    let lab = Lab::new();
    let gateway = lab.source(Family::V6);
    lab.host.ip(&format!("route add 2001:db8:aaaa::/48 via {gateway} dev eth0\n"));
    lab
}

fn by_network<'a>(lab: &'a Lab, words: &str) -> Portsentry<'a> {
    lab.portsentry(words).with("IPV6_PREFIX", "64").with("XDP_MODE", "generic")
}

fn connect(namespace: &Namespace, source: IpAddr, port: u16) -> std::io::Result<TcpStream> {
    let to = SocketAddr::new(Family::V6.host(), port);
    namespace.connect_from(source, to, std::time::Duration::from_secs(1))
}

#[test]
fn a_network_counts_as_one_source_and_is_held_as_one() {
    let lab = lab();
    let service = lab.serve_tcp(SERVICE);
    let daemon = by_network(&lab, "-stcp").with("SCAN_TRIGGER", "3").start();
    let [one, two, three, four] = [1, 2, 3, 4].map(|host| address(&lab, 1, host));
    let other = address(&lab, 2, 1);
    for (source, port) in [one, two, three].into_iter().zip(TRAPS) {
        let _ = connect(&lab.scanner, source, port);
    }
    let network = "2001:db8:aaaa:1::/64";
    daemon.log().wait_for(&format!(
        "Host {three} has been blocked in the kernel (proof: none), with all of {network}"
    ));
    assert!(connect(&lab.scanner, four, SERVICE).is_err(), "{four} is of the same network");
    connect(&lab.scanner, other, SERVICE).expect("another network is free");
    daemon.wait_until("the files have it", || {
        let is_in = |setting, text: &str| daemon.file(setting).iter().any(|line| line.contains(text));
        is_in("BLOCKED_FILE", &format!("/{network} Port: 111 TCP Blocked"))
            && is_in("WRAPPER_HOSTS_DENY", "ALL: [2001:db8:aaaa:1::]/64 : DENY")
    });
    drop(service);
}

#[test]
fn one_network_takes_one_place_in_a_map() {
    let lab = lab();
    let settings = [("BLOCK_UNPROVEN", "0"), ("CHALLENGE", "1"), ("MAX_BLOCKED", "2")];
    let setup = settings.iter().fold(by_network(&lab, "-stcp"), |setup, (key, value)| setup.with(key, value));
    let daemon = setup.start();
    for host in 1..8 {
        let _ = connect(&lab.scanner, address(&lab, 1, host), TRAPS[usize::from(host) % 3]);
    }
    let other = address(&lab, 2, 1);
    let _ = connect(&lab.scanner, other, 11);
    daemon.wait_for_block("2001:db8:aaaa:2::".parse().expect("an address"));
    assert_eq!((daemon.blocked().len(), daemon.counter("blocked_full")), (2, 0));
}

#[test]
fn neighbours_are_held_alone() {
    let lab = lab();
    let daemon = by_network(&lab, "-stcp").start();
    let service = lab.serve_tcp(SERVICE);
    for family in FAMILIES {
        let [scanner, neighbour] = [lab.source(family), lab.source(family)];
        lab.nmap(scanner, "-sS -p 11");
        daemon.wait_for_block(scanner);
        assert!(service.answers(&lab.scanner, neighbour, portsentry_tests::lab::Reach::Expected));
    }
    service.assert_open_to_bystander(&lab);
}

#[test]
fn commands_find_a_network_by_each_of_its_addresses() {
    let lab = lab();
    let setup = by_network(&lab, "-stcp");
    let [one, two] = [1, 2].map(|host| address(&lab, 1, host));
    let network: IpAddr = "2001:db8:aaaa:1::".parse().expect("an address");
    for is_running in [true, false] {
        for lift in [two.to_string(), "2001:db8:aaaa:1::/64".into()] {
            let daemon = setup.start();
            let _ = connect(&lab.scanner, one, 11);
            daemon.wait_for_block(network);
            daemon.wait_until("the file has it", || {
                daemon.file("BLOCKED_FILE").iter().any(|line| line.contains("2001:db8:aaaa:1::/64"))
            });
            let listed = setup.say("list --json").json();
            assert_eq!(listed[0]["address"], "2001:db8:aaaa:1::/64", "{listed}");
            let why = setup.say(&format!("why {two} --json")).json();
            assert_eq!(why["held"]["address"], "2001:db8:aaaa:1::/64", "{why}");
            assert!(!why["file"].is_null() && why["evidence"][0]["source"] == one.to_string(), "{why}");
            let running = if is_running {
                Some(daemon)
            } else {
                daemon.kill();
                None
            };
            let said = setup.say(&format!("unblock {lift}"));
            assert_eq!(said.code, 0, "{said:?}");
            let listed = setup.say("list --json").json();
            assert_eq!(listed.as_array().map(Vec::len), Some(0), "{lift}, running {is_running}: {listed}");
            drop(running);
        }
    }
}

#[test]
fn single_addresses_of_an_earlier_run_stay_held_and_hold_nobody_else() {
    let lab = lab();
    let service = lab.serve_tcp(SERVICE);
    let [one, two] = [1, 2].map(|host| address(&lab, 1, host));
    let daemon = by_network(&lab, "-stcp").with("IPV6_PREFIX", "128").start();
    let _ = connect(&lab.scanner, one, 11);
    daemon.wait_for_block(one);
    daemon.wait_until("the file has it", || !daemon.file_about("BLOCKED_FILE", one).is_empty());
    daemon.terminate();
    // Once with the maps, and once with only the file, as after a reboot.
    for is_rebooted in [false, true] {
        if is_rebooted {
            portsentry_tests::lab::remove_pins(&lab.pins());
        }
        let daemon = by_network(&lab, "-stcp").start();
        daemon.wait_until("it is held", || daemon.blocked() == [one]);
        assert!(connect(&lab.scanner, one, SERVICE).is_err(), "{one} is held, rebooted {is_rebooted}");
        connect(&lab.scanner, two, SERVICE).expect("its neighbour is free");
        daemon.terminate();
    }
    drop(service);
}
