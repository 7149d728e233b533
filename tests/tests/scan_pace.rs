//! A sweep of own addresses at any pace is fenced within the contacts that `docs/detection.md` promises. The host's network
//! stack counts the contacts that passed: it refuses each.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use portsentry_tests::lab::{Daemon, Family, Lab, Wire, syn};

const PORT: u16 = 2323;
/// Addresses of the network.
const ADDRESSES: u16 = 1000;
/// The most contacts that pass before a sweep at 10,000 a second is fenced.
const MOST: u64 = 32;
/// Time limit for a refusal.
const PATIENCE: Duration = Duration::from_secs(20);

fn start<'lab>(lab: &'lab Lab, detection: &str) -> Daemon<'lab> {
    lab.host.ip("route replace local 203.0.112.0/22 dev lo");
    lab.portsentry("-stcp -sudp")
        .with("BLOCK_UNPROVEN", "0")
        .with("SCAN_DETECTION", detection)
        .with("SCAN_MEMORY", "1")
        .start()
}

/// Returns the number of segments with RST that the host has sent.
fn refusals(lab: &Lab) -> u64 {
    let text = lab.host.run("cat", &["/proc/net/snmp"]);
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
    let place = names.split(' ').position(|name| name == "OutRsts").expect("OutRsts");
    values.split(' ').nth(place).and_then(|value| value.parse().ok()).expect("a number")
}

/// Returns the number of contacts of `scan` that the host has refused, once it has refused a later one of another source.
fn passed(lab: &Lab, scan: impl FnOnce(IpAddr)) -> (IpAddr, u64) {
    let [scanner, client] = [(); 2].map(|()| lab.source(Family::V4));
    let before = refusals(lab);
    scan(scanner);
    let later = lab.scanner.connect_from(client, SocketAddr::new(Family::V4.host(), 2000), PATIENCE);
    assert_eq!(later.err().map(|error| error.kind()), Some(ErrorKind::ConnectionRefused));
    (scanner, refusals(lab) - before - 1)
}

/// Sends a SYN to each address, as fast as the machine can.
fn sweep(lab: &Lab, scanner: IpAddr) {
    let wire = Wire::mouth(&lab.scanner);
    let from = SocketAddr::new(scanner, 40_000);
    let first = Ipv4Addr::new(203, 0, 112, 1).to_bits();
    let frames: Vec<_> = (0..u32::from(ADDRESSES))
        .map(|number| syn(from, SocketAddr::new(Ipv4Addr::from_bits(first + number).into(), PORT)))
        .collect();
    frames.iter().for_each(|frame| wire.send_frame(frame));
}

fn masscan(lab: &Lab, scanner: IpAddr) {
    lab.masscan(scanner, &format!("--rate 10000 -p {PORT} 203.0.112.1-203.0.115.232"));
}

#[test]
fn a_fast_sweep_is_fenced_within_32_contacts() {
    let lab = Lab::new();
    let daemon = start(&lab, "fence");
    for scan in [sweep, masscan] {
        let (scanner, passed) = passed(&lab, |scanner| scan(&lab, scanner));
        daemon.wait_until("it is fenced", || daemon.fenced().contains(&scanner));
        println!("{passed} of {ADDRESSES} contacts passed");
        assert!((5..=MOST).contains(&passed), "{passed} of {ADDRESSES} contacts passed");
    }
}

/// Otherwise the other test's count would say nothing.
#[test]
fn a_fast_sweep_that_is_only_reported_passes() {
    let lab = Lab::new();
    let daemon = start(&lab, "report");
    for scan in [sweep, masscan] {
        let (scanner, passed) = passed(&lab, |scanner| scan(&lab, scanner));
        daemon.log().wait_for(&format!("Noted only (sweep): source {scanner}/{scanner}"));
        assert!(passed > u64::from(ADDRESSES) / 2, "{passed} of {ADDRESSES} contacts passed");
    }
}
