//! Distributed scans (`SCAN_DETECTION`) of networks of the host's own addresses: groups of both address families outlive
//! the daemon, and their members are fenced earlier, but never for the group alone.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::Range,
};

use portsentry_tests::{
    frames::{Layer, SYN, ordinary_syn, tcp},
    lab::{Daemon, Family, Lab, Portsentry, Wire},
};
use serde_json::Value;

/// Not a high one, such as peer-to-peer programs use.
const PORT: u16 = 23;

/// A network of own addresses, and the sources that scan it.
struct Scan {
    /// The command that gives the host the addresses.
    route: &'static str,
    address: fn(u16) -> IpAddr,
    source: fn(u16) -> IpAddr,
    /// The source as the log and `list` name it.
    name: fn(u16) -> String,
    /// What the log says of the addresses.
    covered: &'static str,
}

fn v4(network: u32, number: u16) -> IpAddr {
    Ipv4Addr::from_bits(network + u32::from(number)).into()
}

fn v6_source(number: u16) -> IpAddr {
    Ipv6Addr::new(0x2001, 0xdb8, 0xc11e, number, 0, 0, 0, 9).into()
}

fn v6_name(number: u16) -> String {
    format!("{}/64", Ipv6Addr::new(0x2001, 0xdb8, 0xc11e, number, 0, 0, 0, 0))
}

/// IPv4 addresses, IPv6 hosts of one subnet, and the first hosts of IPv6 subnets.
const SCANS: [Scan; 3] = [
    Scan {
        route: "route add local 203.0.112.0/23 dev lo",
        address: |number| v4(0xcb00_7000, number),
        source: |number| v4(0xc633_6401, number),
        name: |number| v4(0xc633_6401, number).to_string(),
        covered: "addresses of 203.0.112.0/23",
    },
    Scan {
        route: "route add local 2001:db8:77:1::/64 dev lo",
        address: |number| Ipv6Addr::new(0x2001, 0xdb8, 0x77, 1, 0, 0, 0, number).into(),
        source: v6_source,
        name: v6_name,
        covered: "addresses of 2001:db8:77:1::/119",
    },
    Scan {
        route: "route add local 2001:db8:77::/48 dev lo",
        address: |number| Ipv6Addr::new(0x2001, 0xdb8, 0x77, number, 0, 0, 0, 0x53).into(),
        source: v6_source,
        name: v6_name,
        covered: "subnets, each at the same interface identifier, of 2001:db8:77::/55",
    },
];

fn watching(lab: &Lab) -> Portsentry<'_> {
    lab.portsentry("-stcp -sudp")
        .with("BLOCK_UNPROVEN", "0")
        .with("SCAN_DETECTION", "fence")
        .with("SCAN_MEMORY", "1")
        .with("KILL_ON_PROOF", "0")
        .with("EVENT_RATE", "1000")
        .with("IPV6_PREFIX", "64")
}

/// Sends SYNs as an operating system does.
struct Mouth<'daemon, 'lab> {
    daemon: &'daemon Daemon<'lab>,
    wire: Wire,
}

impl<'daemon, 'lab> Mouth<'daemon, 'lab> {
    fn open(daemon: &'daemon Daemon<'lab>) -> Self {
        Self { daemon, wire: Wire::mouth(&daemon.lab().scanner) }
    }

    fn send(&self, source: IpAddr, at: SocketAddr) {
        let from = SocketAddr::new(source, 40_000);
        self.wire.send(&ordinary_syn().from(&from.to_string()).to(&at.to_string()));
    }

    /// Contacts a closed port, and waits until the kernel program has judged it. One contact in many seems to be known and
    /// doesn't count, so a malformed packet follows, which has a counter of its own.
    fn contact(&self, source: IpAddr, at: SocketAddr) {
        let malformed = || self.daemon.counter("malformed_tcp");
        let before = malformed();
        self.send(source, at);
        let past_the_end = tcp(SYN).with(Layer::Transport, 12, &[0xf0]);
        self.wire.send(&past_the_end.to(&SocketAddr::new(Family::V4.host(), 601).to_string()));
        self.daemon.wait_until("the packet after it counts", || malformed() > before);
    }

    /// Contacts these of the scan's addresses, three by each source.
    fn share(&self, scan: &Scan, numbers: Range<u16>) {
        for number in numbers {
            let at = SocketAddr::new((scan.address)(1 + number), PORT);
            self.contact((scan.source)(number / 3), at);
        }
        self.daemon.settle();
    }

    /// Contacts further ports until the source is fenced. Returns the number of its failures.
    fn continue_until_fenced(&self, scan: &Scan, number: u16) -> u64 {
        let (daemon, source) = (self.daemon, (scan.source)(number));
        let is_fenced = (1..30).any(|port| {
            self.contact(source, SocketAddr::new((scan.address)(7), 500 + port));
            daemon.fenced().contains(&first(source))
        });
        assert!(is_fenced, "{source} is not fenced:\n{}", daemon.log().lines().join("\n"));
        let listed = daemon.setup().say("list --json").json();
        let mut entries = listed.as_array().expect("a list").iter();
        let entry = entries.find(|entry| entry["address"] == (scan.name)(number));
        entry.and_then(|entry| entry["hits"].as_u64()).unwrap_or_else(|| panic!("{listed}"))
    }
}

/// Returns the address by which a source is held: the first one of its /64.
fn first(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(source) => Ipv6Addr::from_bits(source.to_bits() >> 64 << 64).into(),
    }
}

fn suspect(daemon: &Daemon<'_>, source: IpAddr) -> Value {
    daemon.setup().say(&format!("why --json {source}")).json()["suspect"].clone()
}

#[test]
fn a_distributed_scan_outlives_the_daemon_and_its_members_are_fenced_earlier() {
    const LINE: &str = "Noted only (distributed scan): ";
    for scan in &SCANS {
        let lab = Lab::new();
        lab.host.ip(scan.route);
        let setup = watching(&lab);
        let daemon = setup.start();
        Mouth::open(&daemon).share(scan, 0..99);
        assert_eq!(daemon.log().count(LINE), 0, "{:?}", daemon.log().lines());
        daemon.terminate();
        let daemon = setup.start();
        let mouth = Mouth::open(&daemon);
        mouth.share(scan, 99..180);
        let lines = daemon.log().lines();
        let told: Vec<_> = lines.iter().filter(|line| line.contains(LINE)).collect();
        let [told] = told[..] else { panic!("one line: {told:?}\n{}", lines.join("\n")) };
        assert!(
            told.contains(scan.covered) && told.contains(&format!(" at TCP port {PORT}, lately ")),
            "{told}"
        );
        let latest = told.split(", lately ").nth(1).and_then(|rest| rest.split(", ").next());
        assert!((40..60).any(|number| latest == Some(&(scan.name)(number))), "{told}");
        // The first members as well as the later ones, none of whom is held.
        let members: Vec<(u16, Value)> =
            (0..60).step_by(4).map(|number| (number, suspect(&daemon, (scan.source)(number)))).collect();
        let raised: Vec<u16> = members
            .iter()
            .filter(|(_, seen)| seen["failed"] == 3)
            .map(|(number, seen)| {
                assert_eq!((&seen["shared"], &seen["score"]), (&3.into(), &7.5.into()), "{number}: {seen}");
                *number
            })
            .collect();
        assert!(raised.len() > 10, "{members:?}");
        let fenced = daemon.fenced();
        let held = (0..60).find(|number| fenced.contains(&first((scan.source)(*number))));
        assert_eq!((held, daemon.blocked()), (None, Vec::new()), "never for the group");
        let failures = [raised[0], 999].map(|number| mouth.continue_until_fenced(scan, number));
        assert_eq!(failures, [8, 10], "of a member, and of a stranger");
    }
}

#[test]
fn a_damaged_file_of_groups_is_reported_and_replaced() {
    let lab = Lab::new();
    let [scan, ..] = &SCANS;
    lab.host.ip(scan.route);
    let setup = watching(&lab);
    let file = format!("{}.groups", setup.setting("BLOCKED_FILE"));
    std::fs::write(&file, "garbage").expect("a file");
    let daemon = setup.start();
    daemon.log().wait_for(&format!(
        "{file} is damaged, or of another version: the groups of distributed scans begin anew"
    ));
    Mouth::open(&daemon).share(scan, 0..30);
    daemon.terminate();
    assert!(std::fs::read(&file).expect("a file").starts_with(b"psgroups"), "it is replaced");
    let daemon = setup.start();
    daemon.settle();
    assert_eq!(daemon.log().count("is damaged"), 0, "{:?}", daemon.log().lines());
}
