//! Services bound to a VLAN device or a VRF. A look-up from the card below doesn't find their sockets. Requires a
//! kernel with both, which `cargo xtask vm` boots.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use portsentry_common::classify::Protocol;
use portsentry_tests::lab::{DeviceBound, FAMILIES, Family, INTERFACE, Lab, Namespace, Probe};

use crate::{
    above::{Asking, fencing},
    bonds::{HOST, SCANNER, join, lay_cables, tag},
};

/// The watched port of the services.
const PORT: u16 = 143;
/// A port that is not watched.
const CLOSED: u16 = 81;
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends a request from a client at `source` to the service.
fn ask(client: &Namespace, source: IpAddr, at: SocketAddr) -> io::Result<()> {
    let mut stream = client.connect_from(source, at, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"hello")?;
    stream.read_exact(&mut [0; 5])
}

#[ignore = "needs bonding and 802.1Q: `cargo xtask vm` runs it"]
#[test]
fn a_service_bound_to_a_vlan_on_a_bond_is_a_service() {
    let lab = Lab::new();
    lay_cables(&lab);
    join(&lab.host);
    tag(&lab);
    let _service = DeviceBound::start(&lab.host, "bond0.7", Protocol::Tcp, PORT);
    let daemon = lab.portsentry("-stcp -i ALL_NLO").with("SERVED_GRACE", "0").start();
    let at = SocketAddr::new(HOST.into(), PORT);
    // The bond may still be selecting a card.
    daemon.wait_until("a client is served", || ask(&lab.scanner, SCANNER.into(), at).is_ok());
    assert_eq!(daemon.lines_about(SCANNER.into()), [""; 0]);
    assert!(!daemon.blocked().contains(&SCANNER.into()) && daemon.fenced().is_empty());
}

/// Adds the host's interface to a VRF.
fn join_vrf(lab: &Lab) {
    lab.host.ip(&format!(
        "link add vrf0 type vrf table 10\nlink set vrf0 up\nlink set {INTERFACE} master vrf0\n\
         address replace {}/64 dev {INTERFACE} nodad",
        Family::V6.host()
    ));
}

#[ignore = "needs VRFs: `cargo xtask vm` runs it"]
#[test]
fn a_service_bound_to_a_vrf_is_a_service() {
    let lab = Lab::new();
    join_vrf(&lab);
    let _service = DeviceBound::start(&lab.host, "vrf0", Protocol::Tcp, PORT);
    let daemon = lab.portsentry("-stcp").with("SERVED_GRACE", "0").start();
    let client = lab.source(Family::V4);
    for _ in 0..2 {
        ask(&lab.scanner, client, SocketAddr::new(Family::V4.host(), PORT)).expect("the service");
    }
    assert_eq!(daemon.lines_about(client), [""; 0]);
    for family in FAMILIES {
        let source = lab.source(family);
        lab.nmap(source, "-sS -p 11");
        daemon.wait_for_block(source);
    }
}

#[ignore = "needs bonding and 802.1Q: `cargo xtask vm` runs it"]
#[test]
fn a_request_by_a_vlan_on_a_bond_continues_when_its_peer_is_fenced() {
    let lab = Lab::new();
    lay_cables(&lab);
    join(&lab.host);
    tag(&lab);
    let daemon = fencing(&lab, "-stcp -i ALL_NLO").with("CHALLENGE", "0").start();
    let asking = Asking { host: &lab.host, device: "bond0.7", peer: &lab.scanner, at: SCANNER.into() };
    daemon.wait_until("the bond has chosen a card", || {
        ask(&lab.scanner, SCANNER.into(), SocketAddr::new(HOST.into(), CLOSED))
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    });
    asking.goes_on(&daemon, || {
        let _probe = Probe::tcp(&lab.scanner, SCANNER.into(), SocketAddr::new(HOST.into(), 11));
    });
}

#[ignore = "needs VRFs: `cargo xtask vm` runs it"]
#[test]
fn a_request_by_a_vrf_continues_when_its_peer_is_fenced() {
    let lab = Lab::new();
    join_vrf(&lab);
    let daemon = fencing(&lab, "-stcp -sudp").with("CHALLENGE", "0").start();
    for family in FAMILIES {
        let peer = family.bystander();
        let asking = Asking { host: &lab.host, device: "vrf0", peer: &lab.bystander, at: peer };
        asking.goes_on(&daemon, || {
            let _probe = Probe::tcp(&lab.bystander, peer, SocketAddr::new(family.host(), 11));
        });
    }
}
