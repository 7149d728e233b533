//! Services of Multipath TCP (RFC 8684), for which the kernel opens no connection on just an acknowledgement.
//! Programs built with Go 1.24 or later use it by default.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    thread,
};

use portsentry_tests::lab::{FAMILIES, Family, Lab, Wire, dump};
use socket2::{Domain, Protocol, Socket, Type};

use super::{Greeter, WAYS, fence, greet, open};

/// A greeting service of Multipath TCP on the host.
fn start(lab: &Lab, family: Family, port: u16) -> Greeter {
    let at = SocketAddr::new(family.host(), port);
    let listener: TcpListener = lab.host.enter(|| {
        let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::MPTCP));
        let socket = socket.expect("a socket of Multipath TCP");
        socket.bind(&at.into()).expect("its port is free");
        socket.listen(16).expect("it listens");
        socket.into()
    });
    thread::spawn(move || {
        listener.incoming().flatten().for_each(|client| drop(thread::spawn(|| greet(client))));
    });
    Greeter(at)
}

/// A framed host reaches earlier services of the daemon's host at once, and later ones after the daemon has listed
/// the sockets.
#[test]
fn a_framed_host_connects_to_services_of_multipath_tcp() {
    for way in WAYS {
        let lab = Lab::new();
        let services = FAMILIES.map(|family| start(&lab, family, 8443));
        let Some(daemon) = way.start(&open(&lab)) else { continue };
        let wire = Wire::open(&lab.scanner);
        for family in FAMILIES {
            fence(&daemon, &wire, family.bystander());
        }
        let serve_often = |services: &[Greeter]| {
            for (number, service) in services.iter().cycle().take(20).enumerate() {
                service.serve(&lab).unwrap_or_else(|error| panic!("{way:?}, {number}: {error}"));
            }
        };
        serve_often(&services);
        let late = FAMILIES.map(|family| start(&lab, family, 8444));
        daemon
            .wait_until("new services are listed", || late.iter().all(|service| service.serve(&lab).is_ok()));
        serve_often(&late);
        assert!(daemon.blocked().is_empty());
    }
}

/// Returns the latest stamp of a service that must see the SYN.
fn latest_stamp(lab: &Lab) -> u64 {
    dump(&lab.pins().join("NEEDS_SYN"))[0]["formatted"]["value"].as_u64().expect("a stamp")
}

#[test]
fn services_recorded_by_an_earlier_version_are_looked_for() {
    let lab = Lab::new();
    let setup = open(&lab);
    let daemon = setup.start();
    assert_eq!(latest_stamp(&lab), 0, "no service has been recorded");
    daemon.kill();
    let daemon = setup.start();
    assert_eq!(latest_stamp(&lab), 0, "the earlier daemon recorded none either");
    daemon.kill();
    fs::remove_file(lab.pins().join("NEEDS_SYN")).expect("a pin");
    let _daemon = setup.start();
    assert_ne!(latest_stamp(&lab), 0, "an earlier version may have recorded some");
}
