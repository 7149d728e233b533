//! Gateways as people run them, with `ANSWERS="enforce"` and no list of ports: clients are served and not fenced, and a
//! scanner is fenced.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

use portsentry_common::classify::Protocol::{Tcp, Udp};
use portsentry_tests::lab::{Daemon, Family, Lab, Reach, Service};

use super::gateway_answers::{SERVED, make_gateway, scan, watching};

const INSIDE: &str = "203.0.113.2";
/// Time limit for data that must arrive.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts a daemon that watches `interfaces` and protects `networks`, without a list of ports.
fn start<'lab>(lab: &'lab Lab, interfaces: &str, networks: &str) -> Daemon<'lab> {
    let portsentry = watching(lab, "enforce").with("INTERFACES", interfaces);
    let portsentry = portsentry.with("TCP_PORTS", "").with("UDP_PORTS", "");
    match networks {
        "" => portsentry.without("PROTECTED_NETWORKS").start(),
        _ => portsentry.with("PROTECTED_NETWORKS", networks).start(),
    }
}

/// A client reaches the services at `at`, also while and after a scanner is fenced there.
fn judge(daemon: &Daemon<'_>, services: &[&Service], at: IpAddr) {
    let lab = daemon.lab();
    let family = Family::of(at);
    let [client, scanner] = [(); 2].map(|()| lab.source(family));
    let serve = |client| {
        for service in services {
            assert!(service.answers_at(&lab.scanner, client, at, Reach::Expected), "{service:?} at {at}");
        }
    };
    serve(client);
    let closed = scan(lab, scanner, at);
    assert!(closed < 4, "{closed} refusals reached the scanner");
    daemon.wait_until("the scanner is fenced", || daemon.fenced().contains(&scanner));
    serve(client);
    serve(lab.source(family));
    assert_eq!(daemon.fenced(), [scanner]);
    assert_eq!(daemon.blocked(), [] as [IpAddr; 0]);
}

/// Ports that a container publishes: a bridge, DNAT, and masquerading, as Docker sets them up.
#[test]
fn published_containers() {
    const RULES: &str = "add table ip nat; \
         add chain ip nat in { type nat hook prerouting priority -100; }; \
         add chain ip nat own { type nat hook output priority -100; }; \
         add chain ip nat out { type nat hook postrouting priority 100; }; \
         add rule ip nat in fib daddr type local tcp dport { 2000-2199, 8080 } dnat to 203.0.113.2; \
         add rule ip nat in fib daddr type local udp dport 53 dnat to 203.0.113.2; \
         add rule ip nat own ip daddr != 127.0.0.0/8 fib daddr type local tcp dport 8080 dnat to 203.0.113.2; \
         add rule ip nat out ip saddr 203.0.113.0/24 oifname != docker0 masquerade; \
         add rule ip nat out ip saddr 203.0.113.2 ip daddr 203.0.113.2 masquerade";
    let lab = Lab::new();
    make_gateway(&lab);
    lab.host.ip(
        "link add docker0 type bridge mcast_snooping 0\nlink set eth1 master docker0\nlink set eth1 type bridge_slave hairpin on\naddress flush dev eth1\n\
         address add 203.0.113.1/24 dev docker0\nlink set docker0 up\n",
    );
    lab.host.run("nft", &[RULES]);
    let services = [Service::start(&lab.bystander, Tcp, SERVED), Service::start(&lab.bystander, Udp, 53)];
    let daemon = start(&lab, "eth0", "");
    judge(&daemon, &[&services[0], &services[1]], Family::V4.host());
    // The container itself reaches its published port.
    let inside = INSIDE.parse().expect("an address");
    assert!(services[0].answers_at(&lab.bystander, inside, Family::V4.host(), Reach::Expected), "hairpin");
}

/// Guests on a bridge with the uplink, with addresses of the uplink's network.
#[test]
fn bridged_guests() {
    let lab = Lab::new();
    lab.plug_in_second(&lab.bystander);
    let (host, guest) = (Family::V4.host(), Family::V4.member(77));
    lab.host.ip(&format!(
        "link add br0 type bridge mcast_snooping 0\nlink set eth0 master br0\nlink set eth1 master br0\n\
         address flush dev eth0\naddress flush dev eth1\naddress add {host}/24 dev br0\nlink set br0 up\n"
    ));
    lab.bystander.ip(&format!("link set eth0 down\naddress add {guest}/24 dev eth1\n"));
    let service = Service::start(&lab.bystander, Tcp, SERVED);
    let daemon = start(&lab, "eth0", &format!("{guest}/32"));
    judge(&daemon, &[&service], guest);
}

/// A port that is forwarded inside, which inside hosts reach by the outside address, and inside clients with one
/// outside address. Both links are watched.
#[test]
fn hairpin_and_masquerading() {
    const RULES: &str = "add table ip nat; \
         add chain ip nat in { type nat hook prerouting priority -100; }; \
         add chain ip nat out { type nat hook postrouting priority 100; }; \
         add rule ip nat in ip daddr 192.0.2.1 tcp dport { 2000-2199, 8080 } dnat to 203.0.113.2; \
         add rule ip nat out ip saddr 203.0.113.0/24 masquerade";
    let lab = Lab::new();
    let inside = make_gateway(&lab);
    lab.host.run("nft", &[RULES]);
    let service = Service::start(&lab.bystander, Tcp, SERVED);
    let outside = [Service::start(&lab.scanner, Tcp, 8081), Service::start(&lab.scanner, Udp, 53)];
    let daemon = start(&lab, "eth0,eth1", "");
    for _ in 0..6 {
        assert!(service.answers_at(&lab.bystander, inside, Family::V4.host(), Reach::Expected), "hairpin");
        for service in &outside {
            let server = Family::V4.member(2);
            assert!(service.answers_at(&lab.bystander, inside, server, Reach::Expected), "{service:?}");
        }
    }
    judge(&daemon, &[&service], Family::V4.host());
}

/// An IPv6 network behind a translated prefix.
#[test]
fn nat66() {
    const RULES: &str = "add table ip6 nat; \
         add chain ip6 nat in { type nat hook prerouting priority -100; }; \
         add chain ip6 nat out { type nat hook postrouting priority 100; }; \
         add rule ip6 nat in ip6 daddr 2001:db8::1 tcp dport { 2000-2199, 8080 } dnat to fd00::2; \
         add rule ip6 nat in ip6 daddr 2001:db8::1 udp dport 53 dnat to fd00::2; \
         add rule ip6 nat out ip6 saddr fd00::/64 masquerade";
    let lab = Lab::new();
    make_gateway(&lab);
    lab.host.run("sysctl", &["-qw", "net.ipv6.conf.all.forwarding=1"]);
    lab.host.ip("address add fd00::1/64 dev eth1 nodad\n");
    lab.bystander.ip("address add fd00::2/64 dev eth1 nodad\nroute add default via fd00::1\n");
    lab.host.run("nft", &[RULES]);
    let services = [Service::start(&lab.bystander, Tcp, SERVED), Service::start(&lab.bystander, Udp, 53)];
    let daemon = start(&lab, "eth0", "");
    judge(&daemon, &[&services[0], &services[1]], Family::V6.host());
}

/// Connections whose packets bypass the packet filter after the first ones, and a forwarded port.
#[test]
#[ignore = "needs flowtables: `cargo xtask vm` has them"]
fn flowtable() {
    const RULES: &str = "add table inet fast; \
         add flowtable inet fast quick { hook ingress priority 0; devices = { eth0, eth1 }; }; \
         add chain inet fast through { type filter hook forward priority 0; }; \
         add rule inet fast through meta l4proto { tcp, udp } flow add @quick; \
         add table ip nat; add chain ip nat in { type nat hook prerouting priority -100; }; \
         add rule ip nat in ip daddr 192.0.2.1 tcp dport { 2000-2199, 8080 } dnat to 203.0.113.2";
    for is_forwarded in [false, true] {
        let lab = Lab::new();
        let behind = make_gateway(&lab);
        lab.host.run("nft", &[RULES]);
        let service = Service::start(&lab.bystander, Tcp, SERVED);
        let (networks, at) = if is_forwarded { ("", Family::V4.host()) } else { ("203.0.113.0/24", behind) };
        let daemon = start(&lab, "eth0", networks);
        let client =
            lab.scanner.enter(|| TcpStream::connect(SocketAddr::new(at, SERVED))).expect("a connection");
        daemon.wait_until("its packets bypass the packet filter", || {
            lab.host.run("cat", &["/proc/net/nf_conntrack"]).contains("[OFFLOAD]")
        });
        drop(client);
        judge(&daemon, &[&service], at);
    }
}

/// Answers leave by another uplink than the questions have come by. If it is watched, too, PortSentry learns from
/// them. Otherwise it learns nothing, and fences nobody.
#[test]
fn asymmetric_return() {
    for (interfaces, is_seen) in [("eth0,eth2", true), ("eth0", false)] {
        let lab = Lab::new();
        let behind = make_gateway(&lab);
        lab.host.ip(&format!(
            "link add eth2 type veth peer name eth2 netns {}\naddress add 198.51.100.1/24 dev eth2\nlink set eth2 up\n",
            lab.scanner.name()
        ));
        lab.scanner.ip("address add 198.51.100.2/24 dev eth2\nlink set eth2 up\n");
        lab.host.ip("route add 192.0.2.96/27 via 198.51.100.2 dev eth2\n");
        let service = Service::start(&lab.bystander, Tcp, SERVED);
        let daemon = start(&lab, interfaces, "203.0.113.0/24");
        if is_seen {
            judge(&daemon, &[&service], behind);
            continue;
        }
        let [client, scanner] = [(); 2].map(|()| lab.source(Family::V4));
        // nmap doesn't look at the other uplink.
        scan(&lab, scanner, behind);
        for source in [client, scanner] {
            assert!(service.answers_at(&lab.scanner, source, behind, Reach::Expected));
        }
        assert_eq!((daemon.fenced(), daemon.counter("learned_refused")), (Vec::new(), 0));
    }
}

/// A gateway takes over from another one, whose connections and questions it doesn't know.
#[test]
fn a_takeover_loses_state_and_no_client() {
    let lab = Lab::new();
    let behind = make_gateway(&lab);
    let service = Service::start(&lab.bystander, Tcp, SERVED);
    let clients: Vec<_> = (0..3).map(|_| lab.source(Family::V4)).collect();
    let at = SocketAddr::new(behind, SERVED);
    let connect = |client: &IpAddr| lab.scanner.connect_from(*client, at, PATIENCE);
    let before: Vec<_> = clients.iter().map(|client| connect(client).expect("a connection")).collect();
    // Until now the other gateway forwarded. The virtual address comes with the takeover.
    let daemon = start(&lab, "eth0", "203.0.113.0/24");
    lab.host.ip("address add 192.0.2.50/24 dev eth0\n");
    for mut stream in before {
        use std::io::{Read as _, Write as _};
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let _ = stream.write_all(b"hello");
        // The service may have given up meanwhile.
        let _ = stream.read(&mut [0; 5]);
    }
    for client in &clients {
        assert!(service.answers_at(&lab.scanner, *client, behind, Reach::Expected));
    }
    assert_eq!(daemon.fenced(), [] as [IpAddr; 0]);
    judge(&daemon, &[&service], behind);
}

/// The gateway itself answers SYNs, also for closed ports. Its answers teach nothing, neither served nor refused ports.
#[test]
fn synproxy() {
    const RULES: &str = "add table ip proxy; \
         add chain ip proxy in { type filter hook prerouting priority raw; }; \
         add chain ip proxy through { type filter hook forward priority 0; }; \
         add rule ip proxy in iifname eth0 tcp flags & (fin | syn | rst | ack) == syn notrack; \
         add rule ip proxy through iifname eth0 ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm; \
         add rule ip proxy through ct state invalid drop";
    let lab = Lab::new();
    let behind = make_gateway(&lab);
    lab.host.run("sysctl", &["-qw", "net.netfilter.nf_conntrack_tcp_loose=0"]);
    lab.host.run("nft", &[RULES]);
    let service = Service::start(&lab.bystander, Tcp, SERVED);
    let [client, scanner] = [(); 2].map(|()| lab.source(Family::V4));
    let daemon = start(&lab, "eth0", "203.0.113.0/24");
    assert!(service.answers_at(&lab.scanner, client, behind, Reach::Expected));
    assert_eq!(scan(&lab, scanner, behind), 0, "every port seems open");
    for source in [client, scanner] {
        daemon.wait_until("it is served", || {
            service.answers_at(&lab.scanner, source, behind, Reach::Unexpected)
        });
    }
    let learned: BTreeSet<_> = ["learned_served", "learned_refused"].map(|name| daemon.counter(name)).into();
    assert_eq!((daemon.fenced(), learned), (Vec::new(), BTreeSet::from([0])));
}
