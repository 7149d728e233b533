//! SYNs in the names of 20,000 hosts: each of them is fenced, and none of those that are customers is turned away.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use portsentry_tests::lab::{FAMILIES, Family, INTERFACE, Lab, Wire};

use super::{GREETING, Greeter, PATIENCE, SERVICE, TRAP, WAYS, Way, open, syn};

/// Hosts of either address family.
const SOURCES: u32 = 20_000;
/// As many of them are customers, of either address family.
const CUSTOMERS: u32 = 500;
/// Time between two SYNs, at first and while customers come.
const FIRST: Duration = Duration::from_micros(100);
const LATER: Duration = Duration::from_millis(1);

/// The host of that number, over IPv6 each in a /64 of its own.
fn source(family: Family, number: u32) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from_bits(Ipv4Addr::new(198, 18, 0, 1).to_bits() + number).into(),
        Family::V6 => {
            let network = u16::try_from(number).expect("a network");
            Ipv6Addr::new(0x2001, 0xdb8, 0x5eed, network, 0, 0, 0, 1).into()
        }
    }
}

#[test]
fn twenty_thousand_spoofed_sources_harm_none_of_a_thousand_customers() {
    thread::scope(|scope| {
        for way in WAYS {
            scope.spawn(move || harms_none(way));
        }
    });
}

fn harms_none(way: Way) {
    let lab = Lab::new();
    // All of these hosts are behind the bystander, which exists: the kernel's table of neighbours is one for all namespaces.
    for (family, network) in FAMILIES.into_iter().zip(["198.18.0.0/15", "2001:db8:5eed::/48"]) {
        lab.host.ip(&format!("route add {network} via {} dev {INTERFACE}", family.bystander()));
        lab.bystander.ip(&format!("route add local {network} dev lo"));
    }
    lab.bystander.run("sysctl", &["-qw", "net.ipv6.ip_nonlocal_bind=1"]);
    let services = Greeter::start(&lab, SERVICE);
    let Some(daemon) = way.start(&open(&lab).with("FENCE_RATE", "100000")) else { return };
    let wire = Wire::mouth(&lab.scanner);
    let spoof = |number: u32, port: u16| {
        for family in FAMILIES {
            wire.send(&syn(source(family, number), 20_000, port));
        }
    };
    let begin = Instant::now();
    for number in 0..SOURCES {
        spoof(number, TRAP);
        thread::sleep((FIRST * (number + 1)).saturating_sub(begin.elapsed()));
    }
    // A few frames may be lost where the machine is busy.
    let enough = u64::from(2 * SOURCES * 19 / 20);
    daemon.wait_until("all are fenced", || daemon.counter("fenced") >= enough);
    let (is_over, begin) = (AtomicBool::new(false), Instant::now());
    thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0_u32.. {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                spoof(turn % SOURCES, if turn % 2 == 0 { TRAP } else { SERVICE });
                thread::sleep((LATER * (turn + 1)).saturating_sub(begin.elapsed()));
            }
        });
        let (mut failed, mut late) = (Vec::new(), 0);
        for customer in (0..SOURCES).step_by((SOURCES / CUSTOMERS) as usize) {
            for (family, service) in FAMILIES.into_iter().zip(&services) {
                let customer = source(family, customer);
                match visit(&lab, customer, service.0) {
                    Ok(took) => late += u32::from(took > Duration::from_secs(1)),
                    Err(error) => failed.push(format!("{customer}: {error}")),
                }
            }
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(failed.is_empty(), "{way:?}: {} failed: {:?}", failed.len(), failed.first());
        // A machine with too much to do may lose a moment.
        assert!(late <= 5, "{way:?}: {late} took more than a second");
    });
    assert!(daemon.blocked().is_empty());
}

/// How long a customer takes to be greeted.
fn visit(lab: &Lab, customer: IpAddr, service: SocketAddr) -> std::io::Result<Duration> {
    let begin = Instant::now();
    let mut client = lab.bystander.connect_from(customer, service, PATIENCE)?;
    client.set_read_timeout(Some(PATIENCE))?;
    client.read_exact(&mut [0; GREETING.len()])?;
    client.write_all(b"bye")?;
    Ok(begin.elapsed())
}
