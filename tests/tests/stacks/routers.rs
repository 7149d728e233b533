//! Gateways with translation, routing daemons and a standby.

use std::{
    fmt::Write as _,
    fs,
    net::IpAddr,
    process::{Child, Stdio},
};

use portsentry_common::classify::Protocol::Tcp;
use portsentry_tests::lab::{Bird, Family, Lab, Namespace, Reach, Service};

use super::{BOTH, SERVICE, Way, assert_held, watching};
use crate::gateway_answers::make_gateway;

/// Returns the way from the scanner's namespace to `at`, for which a host behind the gateway answers.
fn way<'a>(lab: &'a Lab, server: &'a Namespace, at: IpAddr, behind: IpAddr) -> Way<'a> {
    let [client, scanner] = [(); 2].map(|()| lab.source(Family::V4));
    Way {
        clients: &lab.scanner,
        server,
        at,
        behind,
        traps: Family::V4.host(),
        client,
        scanner,
        protocols: &BOTH,
    }
}

/// A bridge, ports that a container publishes, and masquerading, as Docker sets them up.
#[test]
fn published_ports() {
    const RULES: &str = "add table ip nat; \
         add chain ip nat in { type nat hook prerouting priority -100; }; \
         add chain ip nat out { type nat hook postrouting priority 100; }; \
         add rule ip nat in fib daddr type local tcp dport { 8080, 8081 } dnat to 203.0.113.2; \
         add rule ip nat in fib daddr type local udp dport 8080 dnat to 203.0.113.2; \
         add rule ip nat out ip saddr 203.0.113.0/24 oifname != docker0 masquerade";
    let lab = Lab::new();
    let behind = make_gateway(&lab);
    lab.host.ip(
        "link add docker0 type bridge mcast_snooping 0\nlink set eth1 master docker0\naddress flush dev eth1\n\
         address add 203.0.113.1/24 dev docker0\nlink set docker0 up\n",
    );
    lab.host.run("nft", &[RULES]);
    let daemon = watching(&lab).start();
    assert_held(daemon, &way(&lab, &lab.bystander, Family::V4.host(), behind));
}

/// Packets of connections bypass the packet filter after the first ones.
#[ignore = "needs flowtables: `cargo xtask vm --flavour amd64` runs it"]
#[test]
fn flowtable() {
    const RULES: &str = "add table inet fast; \
         add flowtable inet fast quick { hook ingress priority 0; devices = { eth0, eth1 }; }; \
         add chain inet fast through { type filter hook forward priority 0; }; \
         add rule inet fast through meta l4proto { tcp, udp } flow add @quick";
    let lab = Lab::new();
    let behind = make_gateway(&lab);
    lab.host.run("nft", &[RULES]);
    let daemon = watching(&lab).start();
    assert_held(daemon, &way(&lab, &lab.bystander, behind, behind));
}

/// A hundred thousand routes arrive while the daemon runs, and leave again.
#[test]
fn many_routes() {
    const ROUTES: usize = 100_000;
    let lab = Lab::new();
    let mut configuration = "log stderr all; router id 192.0.2.1; protocol device {}\n\
         protocol kernel { ipv4 { export all; }; }\n\
         protocol static { ipv4;\n"
        .to_owned();
    for number in 0..ROUTES {
        let [_, a, b, c] = u32::try_from(number).expect("a number").to_be_bytes();
        let _ = writeln!(configuration, "route 10.{}.{}.{}/32 via 192.0.2.3;", a + 1, b, c);
    }
    configuration.push_str("}\n");
    let daemon = watching(&lab).start();
    let bird = Bird::start(&lab.host, &configuration);
    let routes = || lab.host.run("ip", &["route", "show", "proto", "bird"]).lines().count();
    daemon.wait_until("the routes are there", || routes() == ROUTES);
    let host = Family::V4.host();
    assert_held(daemon, &way(&lab, &lab.host, host, host));
    drop(bird);
}

/// A keepalived; killed when dropped.
struct Keepalived(Child);

impl Keepalived {
    fn start(lab: &Lab, namespace: &Namespace, name: &str, priority: u8) -> Self {
        let path = |end: &str| lab.files().join(format!("{name}.{end}"));
        let configuration = format!(
            "vrrp_instance lab {{\n state BACKUP\n interface eth0\n virtual_router_id 51\n priority {priority}\n \
             advert_int 1\n virtual_ipaddress {{\n {VIRTUAL}/24 dev eth0\n }}\n}}\n"
        );
        fs::write(path("conf"), configuration).expect("a configuration");
        let mut command = namespace.command("keepalived");
        command.args(["--dont-fork", "--log-console", "--vrrp", "--use-file"]).arg(path("conf"));
        command.arg("--pid").arg(path("pid")).arg("--vrrp_pid").arg(path("vrrp.pid"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("`keepalived`"))
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        // Ends its children, too.
        let process = nix::unistd::Pid::from_raw(self.0.id().cast_signed());
        let _ = nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

const VIRTUAL: &str = "192.0.2.50";

/// The host takes the address over from the bystander, which fails.
#[ignore = "needs keepalived: `cargo xtask vm --flavour amd64` runs it"]
#[test]
fn takeover() {
    let lab = Lab::new();
    let address = VIRTUAL.parse().expect("an address");
    let before = Service::start(&lab.bystander, Tcp, SERVICE);
    let daemon = watching(&lab).start();
    let has = |member: &Namespace| member.run("ip", &["address", "show", "eth0"]).contains(VIRTUAL);
    let _first = Keepalived::start(&lab, &lab.bystander, "first", 200);
    daemon.wait_until("the first is the master", || has(&lab.bystander));
    let _standby = Keepalived::start(&lab, &lab.host, "standby", 100);
    let client = lab.source(Family::V4);
    for _ in 0..3 {
        assert!(before.answers_at(&lab.scanner, client, address, Reach::Expected));
    }
    assert!(!has(&lab.host), "the standby has a master");
    lab.bystander.ip("link set eth0 down");
    daemon.wait_until("the standby takes over", || has(&lab.host));
    // A datagram's answer would come from the host's first address.
    assert_held(daemon, &Way { traps: address, protocols: &[Tcp], ..way(&lab, &lab.host, address, address) });
}
