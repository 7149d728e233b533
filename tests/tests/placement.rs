//! Interfaces that aren't configured yet get a generic program, and a native one later: several drivers refuse a larger MTU while
//! a native program is attached.

use std::net::{IpAddr, Ipv4Addr};

use nix::sys::signal::Signal;
use portsentry_tests::lab::{Daemon, Lab, Probe, Stream};
use serde_json::Value;

/// The host's address on its second cable, and others there.
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));
const BLOCKED: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 2));
const HONEST: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 3));

const NATIVE: &str = "adminalert: eth1: native XDP, now that it is configured";
const PROVISIONAL: &str = "adminalert: eth1: generic XDP, until it is configured";

/// Connects host and scanner by a second cable. The host's end is up, but has no address. `words` are options of the host's end, and
/// of the other.
fn plug_in(lab: &Lab, words: [&str; 2]) {
    let [own, other] = words;
    lab.host.ip(&format!(
        "link add eth1 {own} type veth peer name eth1 {other} netns {}\nlink set eth1 up",
        lab.scanner.name()
    ));
    for address in [BLOCKED, HONEST] {
        lab.scanner.ip(&format!("address add {address}/24 dev eth1"));
    }
    lab.scanner.ip("link set eth1 up");
    // Before it has an address, the host answers no questions for it.
    let link = shown(lab);
    let hardware = link["address"].as_str().expect("an address");
    lab.scanner.ip(&format!("neighbour replace {HOST} lladdr {hardware} dev eth1 nud permanent"));
}

/// Returns what `ip` shows of the host's end.
fn shown(lab: &Lab) -> Value {
    let links = lab.host.run("ip", &["-json", "link", "show", "eth1"]);
    let links: Value = serde_json::from_str(&links).expect("JSON");
    links[0].clone()
}

fn set_address(lab: &Lab) {
    lab.host.ip(&format!("address add {HOST}/24 dev eth1"));
}

/// Returns the mode in which a program runs on an interface: `xdp` for native, or `xdpgeneric`.
fn mode(lab: &Lab, interface: &str) -> String {
    let shown = lab.host.run("ip", &["link", "show", interface]);
    shown.split_whitespace().find(|word| word.starts_with("xdp")).unwrap_or_default().to_owned()
}

fn probe(lab: &Lab, source: IpAddr) -> Probe {
    Probe::tcp(&lab.scanner, source, std::net::SocketAddr::new(HOST, 11))
}

/// Blocks a source whose packets reach no address of the host yet.
fn block(daemon: &Daemon<'_>) {
    daemon.setup().say(&format!("block {BLOCKED}"));
    daemon.wait_for_block(BLOCKED);
}

#[test]
fn an_interface_gets_any_mtu_and_then_an_address_and_a_native_program() {
    let lab = Lab::new();
    plug_in(&lab, ["", ""]);
    let setup = lab.portsentry("-stcp").with("INTERFACES", "eth0,eth1");
    let daemon = setup.start();
    daemon.log().wait_for("adminalert: eth0: native XDP");
    daemon.log().wait_for(PROVISIONAL);
    assert_eq!([mode(&lab, "eth0"), mode(&lab, "eth1")], ["xdp", "xdpgeneric"]);
    let doctor = setup.say("doctor");
    assert!(
        doctor.out.contains("in generic mode until the interface is up and has an address"),
        "{}",
        doctor.out
    );
    block(&daemon);
    let [held, honest] = [BLOCKED, HONEST].map(|source| Stream::to(&lab.scanner, source, HOST, "0.002"));
    let before = daemon.counter("dropped");
    daemon
        .wait_until("the blocked source's packets are dropped", || daemon.counter("dropped") > before + 100);
    for namespace in [&lab.host, &lab.scanner] {
        namespace.ip("link set eth1 mtu 9000");
    }
    // A replacement of the daemon or its configuration changes nothing about that.
    daemon.signal(Signal::SIGHUP);
    daemon.log().wait_for("Configuration reloaded");
    daemon.kill();
    let daemon = setup.start();
    assert_eq!(mode(&lab, "eth1"), "xdpgeneric");
    set_address(&lab);
    daemon.log().wait_for(NATIVE);
    assert_eq!(mode(&lab, "eth1"), "xdp");
    let before = daemon.counter("dropped");
    daemon.wait_until("they still are", || daemon.counter("dropped") > before + 100);
    let (sent, answered) = held.end();
    assert!(sent > 100 && answered <= 5, "{answered} of {sent} packets of a blocked source were answered");
    let (_, answered) = honest.end();
    assert!(answered > 1000, "{answered} packets of an honest client were answered");
    // It stays native, whatever happens to the address.
    for _ in 0..3 {
        lab.host.ip(&format!("address delete {HOST}/24 dev eth1"));
        set_address(&lab);
    }
    lab.host.ip(&format!("address delete {HOST}/24 dev eth1"));
    daemon.signal(Signal::SIGHUP);
    daemon.log().wait_for("Configuration reloaded");
    daemon.kill();
    let daemon = setup.start();
    daemon.log().wait_for("adminalert: eth1: replaced the program of an earlier run");
    assert_eq!(mode(&lab, "eth1"), "xdp");
    assert_eq!(daemon.log().count("ERROR"), 0);
}

#[test]
fn an_interface_that_comes_later_waits_for_its_configuration_and_a_port_for_its_bridge() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp -i eth0 -i eth1 -i port0").start();
    plug_in(&lab, ["", ""]);
    daemon.log().wait_for(PROVISIONAL);
    lab.host.ip("link add br0 type bridge\nlink set br0 up\nlink add port0 type veth peer name port1\n\
         link set port0 master br0\nlink set port0 up");
    daemon.log().wait_for("adminalert: port0: native XDP, now that it is configured");
    assert_eq!([mode(&lab, "port0"), mode(&lab, "eth1")], ["xdp", "xdpgeneric"]);
    set_address(&lab);
    daemon.log().wait_for(NATIVE);
    let _probe = probe(&lab, HONEST);
    daemon.wait_for_block(HONEST);
    assert_eq!(daemon.log().count("ERROR"), 0);
}

/// A veth with fewer receive queues than its peer has transmit queues refuses native programs, like a card whose MTU is too large.
#[test]
fn a_driver_that_refuses_a_native_program_keeps_the_generic_one_and_is_asked_once() {
    const REFUSED: &str =
        "adminalert: eth1: generic XDP, because the driver reported: No space left on device (os error 28)";
    let lab = Lab::new();
    plug_in(&lab, ["numrxqueues 1", "numtxqueues 2"]);
    lab.scanner.run("ethtool", &["-L", "eth1", "tx", "2"]);
    let setup = lab.portsentry("-stcp -i eth0 -i eth1");
    let daemon = setup.start();
    daemon.log().wait_for(PROVISIONAL);
    block(&daemon);
    let held = Stream::to(&lab.scanner, BLOCKED, HOST, "0.002");
    set_address(&lab);
    daemon.log().wait_for(REFUSED);
    assert_eq!(mode(&lab, "eth1"), "xdpgeneric");
    daemon.signal(Signal::SIGHUP);
    daemon.log().wait_for("Configuration reloaded");
    lab.host.ip(&format!("address delete {HOST}/24 dev eth1"));
    set_address(&lab);
    let _probe = probe(&lab, HONEST);
    daemon.wait_for_block(HONEST);
    assert_eq!(daemon.log().count("adminalert: eth1: generic XDP"), 2, "{:#?}", daemon.log().lines());
    let (sent, answered) = held.end();
    assert!(sent > 100 && answered <= 5, "{answered} of {sent} packets of a blocked source were answered");
    daemon.kill();
    let daemon = setup.start();
    daemon.log().wait_for("adminalert: eth1: replaced the program of an earlier run");
    assert_eq!([daemon.log().count(REFUSED), daemon.log().count(PROVISIONAL)], [0, 0]);
    assert_eq!(mode(&lab, "eth1"), "xdpgeneric");
}

/// The kernel refuses a program below a device that has one, so the generic program would be lost.
#[test]
fn an_interface_below_another_that_has_a_program_stays_generic() {
    let lab = Lab::new();
    plug_in(&lab, ["", ""]);
    lab.host.ip("link add link eth1 name above type macvlan\nlink set above up");
    let daemon = lab.portsentry("-stcp -i eth0 -i eth1 -i above").start();
    daemon.log().wait_for(PROVISIONAL);
    daemon.log().wait_for("adminalert: above: generic XDP");
    set_address(&lab);
    daemon.log().wait_for("adminalert: eth1: generic XDP, because an interface above it has a program, too");
    assert_eq!(mode(&lab, "eth1"), "xdpgeneric");
    let _probe = probe(&lab, HONEST);
    daemon.wait_for_block(HONEST);
    assert_eq!(daemon.log().count("ERROR"), 0);
}

#[test]
fn an_interface_whose_pin_was_removed_is_left_alone() {
    let lab = Lab::new();
    plug_in(&lab, ["", ""]);
    let daemon = lab.portsentry("-stcp -i eth0 -i eth1").start();
    daemon.log().wait_for(PROVISIONAL);
    let index = shown(&lab)["ifindex"].to_string();
    let pin = daemon.setup().path("PIN_PATH").join("links").join(index);
    std::fs::remove_file(&pin).expect("a pinned link");
    daemon.wait_until("its program is detached", || mode(&lab, "eth1").is_empty());
    set_address(&lab);
    let _probe = probe(&lab, HONEST);
    // Longer than the time after which an interface is configured.
    std::thread::sleep(std::time::Duration::from_secs(7));
    daemon.settle();
    assert_eq!(mode(&lab, "eth1"), "", "enforcement was switched off there");
    assert_eq!(daemon.log().count("native XDP, now that"), 0);
}
