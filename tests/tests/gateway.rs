//! A gateway with NAT, or a bridge: the statements of docs/gateway.md.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use portsentry_common::classify::Protocol;
use portsentry_tests::lab::{Daemon, Family, Lab, Probe, Reach, Service, uninterrupted};

/// Time limit for data that must arrive.
const PATIENCE: Duration = Duration::from_secs(20);

/// Makes the host a gateway for the bystander, with the nftables `rules`. Returns the bystander's address behind
/// it.
fn make_gateway(lab: &Lab, rules: &str) -> IpAddr {
    let (_, client) = lab.plug_in_second(&lab.bystander);
    lab.host.run("sysctl", &["-qw", "net.ipv4.ip_forward=1"]);
    lab.bystander.ip("route add 192.0.2.100/30 via 203.0.113.1");
    lab.host.run("nft", &[&format!("add table ip nat; {rules}")]);
    client
}

const MASQUERADE: &str = "add chain ip nat out { type nat hook postrouting priority 100; }; \
     add rule ip nat out oifname eth0 masquerade";

/// A connection from a client behind the gateway to a server in front of it.
struct Talk {
    client: TcpStream,
    server: TcpStream,
}

impl Talk {
    fn begin(lab: &Lab, client: IpAddr, server: IpAddr) -> Self {
        let listener =
            lab.scanner.enter(|| TcpListener::bind(SocketAddr::new(server, 0))).expect("a listener");
        let at = listener.local_addr().expect("a port");
        let connected = lab.bystander.connect_from(client, at, PATIENCE);
        let client = connected.expect("a connection through the gateway");
        let (server, peer) = listener.accept().expect("it is accepted");
        assert_eq!(peer.ip(), Family::V4.host(), "the gateway's own address is seen");
        Self { client, server }
    }

    /// Whether the server's data gets through.
    fn goes_on(&mut self, patience: Duration) -> bool {
        self.client.set_read_timeout(Some(patience)).expect("a limit");
        self.server.write_all(b"hello").expect("it is sent");
        self.client.read_exact(&mut [0; 5]).is_ok()
    }
}

fn fence(lab: &Lab, daemon: &Daemon<'_>, source: IpAddr) {
    let _probe = Probe::tcp(&lab.scanner, source, SocketAddr::new(Family::V4.host(), 11));
    daemon.wait_until("it is fenced", || daemon.fenced().contains(&source));
}

#[test]
fn a_fence_passes_translated_connections() {
    for flags in ["-stcp", "-stcp -S"] {
        let lab = Lab::new();
        let client = make_gateway(&lab, MASQUERADE);
        let server = lab.source(Family::V4);
        let daemon = lab.portsentry(flags).with("BLOCK_UNPROVEN", "0").start();
        let mut talk = Talk::begin(&lab, client, server);
        assert!(talk.goes_on(PATIENCE));
        fence(&lab, &daemon, server);
        assert!(talk.goes_on(PATIENCE), "{flags}");
    }
}

/// Makes the host a gateway for the bystander over IPv6, translating addresses (NAT66). Returns the bystander's
/// address behind it.
fn make_gateway_v6(lab: &Lab) -> IpAddr {
    lab.plug_in_second(&lab.bystander);
    let [inner, client] = ["2001:db8:1::1", "2001:db8:1::2"];
    lab.host.ip(&format!("address add {inner}/64 dev eth1 nodad\n"));
    lab.bystander.ip(&format!(
        "address add {client}/64 dev eth1 nodad\nroute add 2001:db8::/64 via {inner} metric 1\n"
    ));
    lab.host.run("sysctl", &["-qw", "net.ipv6.conf.all.forwarding=1"]);
    lab.host.run("nft", &[&format!("add table ip6 nat; {}", MASQUERADE.replace("ip nat", "ip6 nat"))]);
    client.parse().expect("an address")
}

/// A datagram counts only if nobody behind the gateway asked for it, even if it comes from a name server's port.
#[test]
fn an_answer_to_a_translated_datagram_is_no_probe() {
    const ASKED: u16 = 53;
    for (family, port) in [(Family::V4, 20_000), (Family::V4, 0), (Family::V6, 20_000)] {
        let lab = Lab::new();
        let client = match family {
            Family::V4 => make_gateway(&lab, MASQUERADE),
            Family::V6 => make_gateway_v6(&lab),
        };
        let [server, stranger] = [(); 2].map(|()| lab.source(family));
        // All source ports of the client are watched, and the gateway doesn't translate them.
        let daemon = lab.portsentry("-sudp").with("UDP_PORTS", "1,7,9,1024-65535").start();
        let socket =
            |address, port| move || UdpSocket::bind(SocketAddr::new(address, port)).expect("a socket");
        let asking = lab.bystander.enter(socket(client, port));
        let answering = lab.scanner.enter(socket(server, ASKED));
        for socket in [&asking, &answering] {
            socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
        }
        for _ in 0..3 {
            asking.send_to(b"hello", (server, ASKED)).expect("a question is sent");
            let (_, asked_by) =
                uninterrupted(|| answering.recv_from(&mut [0; 5])).expect("a question through the gateway");
            assert_eq!(asked_by.ip(), family.host(), "the gateway's own address is seen");
            answering.send_to(b"hello", asked_by).expect("an answer is sent");
            uninterrupted(|| asking.recv(&mut [0; 5])).expect("an answer through the gateway");
        }
        daemon.settle();
        assert_eq!(daemon.lines_about(server), [""; 0], "{family:?}, {port}");
        let scan = lab.scanner.enter(socket(stranger, ASKED));
        scan.send_to(b"hello", (family.host(), 20_000)).expect("a probe is sent");
        let is_watched = port != 0;
        if is_watched {
            daemon.wait_until("it is reported", || !daemon.lines_about(stranger).is_empty());
        }
    }
}

#[test]
fn a_port_that_is_forwarded_is_a_trap_unless_it_is_left_out() {
    const FORWARD: &str = "add chain ip nat in { type nat hook prerouting priority -100; }; \
         add rule ip nat in iifname eth0 tcp dport 79 dnat to 203.0.113.2";
    for (ports, is_trap) in [("1,7,11,79", true), ("1,7,11", false)] {
        let lab = Lab::new();
        make_gateway(&lab, FORWARD);
        let service = Service::start(&lab.bystander, Protocol::Tcp, 79);
        let client = lab.source(Family::V4);
        let daemon = lab.portsentry("-stcp").with("TCP_PORTS", ports).start();
        let reach = if is_trap { Reach::Unexpected } else { Reach::Expected };
        assert_eq!(service.answers(&lab.scanner, client, reach), !is_trap, "{ports}");
        assert_eq!(!daemon.lines_about(client).is_empty(), is_trap, "{ports}");
    }
}

/// Joins the host's interfaces to a bridge, which takes over their addresses. Returns the address of the bystander
/// behind it.
fn make_bridge(lab: &Lab) -> IpAddr {
    lab.plug_in_second(&lab.bystander);
    let host = Family::V4.host();
    lab.host.ip(&format!(
        "link add br0 type bridge mcast_snooping 0\nlink set eth0 master br0\nlink set eth1 master br0\n\
         address flush dev eth0\naddress flush dev eth1\naddress add {host}/24 dev br0\nlink set br0 up\n"
    ));
    let behind = Family::V4.member(77);
    lab.bystander.ip(&format!("link set eth0 down\naddress add {behind}/24 dev eth1\n"));
    behind
}

#[test]
fn bridged_traffic_is_seen_at_the_ports_of_the_bridge() {
    for (interface, is_seen) in [("eth0", true), ("br0", false)] {
        let lab = Lab::new();
        let behind = make_bridge(&lab);
        let daemon =
            lab.portsentry(&format!("-stcp -i {interface}")).with("PROTECTED_NETWORKS", "192.0.2.77/32");
        let daemon = daemon.start();
        let source = lab.source(Family::V4);
        let _probe = Probe::tcp(&lab.scanner, source, SocketAddr::new(behind, 11));
        assert_eq!(!daemon.lines_about(source).is_empty(), is_seen, "{interface}");
    }
}

#[test]
fn a_probe_counts_once_also_where_bridge_and_port_are_both_named() {
    for interfaces in ["-i ALL_NLO", "-i eth0 -i eth1", "-i eth0 -i br0"] {
        let lab = Lab::new();
        make_bridge(&lab);
        let daemon = lab.portsentry(&format!("-stcp {interfaces}")).with("SCAN_TRIGGER", "2").start();
        let source = lab.source(Family::V4);
        lab.hping3(source, "-S -p 11");
        daemon.settle();
        assert!(!daemon.blocked().contains(&source), "{interfaces}");
    }
}
