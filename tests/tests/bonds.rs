//! Bonds, their members, and VLANs on bonds. Requires a kernel with both, which `cargo xtask vm` boots.

use std::net::{IpAddr, SocketAddr};

use portsentry_tests::lab::{Daemon, Lab, Namespace, Probe};

/// The addresses of both ends on the VLAN.
pub const HOST: [u8; 4] = [203, 0, 113, 1];
pub const SCANNER: [u8; 4] = [203, 0, 113, 2];

/// Connects host and scanner by two cables, with a bond of two cards at the scanner and an empty bond at the host.
pub fn lay_cables(lab: &Lab) {
    for card in ["c0", "c1"] {
        lab.host.ip(&format!("link add {card} type veth peer name {card} netns {}", lab.scanner.name()));
    }
    for namespace in [&lab.host, &lab.scanner] {
        namespace.ip("link add bond0 type bond mode active-backup miimon 100\nlink set bond0 up");
    }
    join(&lab.scanner);
}

/// Adds both cards to the bond, as `ifup` does.
pub fn join(namespace: &Namespace) {
    for card in ["c0", "c1"] {
        namespace.ip(&format!("link set {card} down\nlink set {card} master bond0\nlink set {card} up"));
    }
}

/// Connects both ends through VLAN 7 on the bond.
pub fn tag(lab: &Lab) {
    for (namespace, address) in [(&lab.host, HOST), (&lab.scanner, SCANNER)] {
        namespace.ip(&format!(
            "link add link bond0 name bond0.7 type vlan id 7\nlink set bond0.7 up\naddress add {}/24 dev bond0.7",
            IpAddr::from(address)
        ));
    }
}

fn assert_judged(lab: &Lab, daemon: &Daemon<'_>) {
    daemon.wait_until("a probe by the bond counts", || {
        let _probe = Probe::tcp(&lab.scanner, SCANNER.into(), SocketAddr::new(HOST.into(), 11));
        daemon.blocked().contains(&SCANNER.into())
    });
}

fn runs_program(lab: &Lab, interface: &str) -> bool {
    lab.host.run("ip", &["link", "show", interface]).contains("xdp")
}

#[ignore = "needs bonding and 802.1Q: `cargo xtask vm` runs it"]
#[test]
fn a_bond_is_watched_and_its_members_and_vlans_are_not() {
    let lab = Lab::new();
    lay_cables(&lab);
    join(&lab.host);
    tag(&lab);
    let daemon = lab.portsentry("-stcp -i ALL_NLO").start();
    for line in [
        "adminalert: bond0: generic XDP, so that every card can join the bond at any time",
        "adminalert: c0: not watched: a member of bond0, which is watched",
        "adminalert: c1: not watched: a member of bond0, which is watched",
        "adminalert: bond0.7: not watched: its frames are judged at bond0, below it",
    ] {
        daemon.log().wait_for(line);
    }
    assert!(runs_program(&lab, "bond0") && !runs_program(&lab, "c0") && !runs_program(&lab, "bond0.7"));
    assert_judged(&lab, &daemon);
    assert_eq!(daemon.log().count("scan from host: 203.0.113.2/203.0.113.2 to TCP port: 11"), 1);
}

#[ignore = "needs bonding and 802.1Q: `cargo xtask vm` runs it"]
#[test]
fn a_card_that_is_watched_can_join_a_bond_that_is() {
    let lab = Lab::new();
    lay_cables(&lab);
    lab.host.ip("link set c0 up\nlink set c1 up");
    let daemon = lab.portsentry("-stcp -i ALL_NLO").start();
    for interface in ["bond0", "c0", "c1"] {
        daemon.log().wait_for(&format!("adminalert: {interface}: "));
    }
    join(&lab.host);
    for card in ["c0", "c1"] {
        daemon.log().wait_for(&format!("adminalert: {card}: not watched: a member of bond0"));
        daemon.wait_until("it is let go", || !runs_program(&lab, card));
    }
    tag(&lab);
    assert_judged(&lab, &daemon);
    assert_eq!(daemon.log().count("ERROR"), 0);
}
