//! Traffic that survives a fence of the peer although no socket look-up shows it: UDP sessions of bound sockets,
//! and connections that this host translates to another host.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

use portsentry_tests::{
    frames::{SYN, tcp},
    lab::{Daemon, FAMILIES, Family, Lab, Namespace, Portsentry, Wire, uninterrupted},
};

const TRAP: u16 = 11;
const PATIENCE: Duration = Duration::from_secs(10);
const IMPATIENCE: Duration = Duration::from_millis(300);

/// Returns a configuration without `FENCE`: sessions continue whatever its value.
fn asking(lab: &Lab) -> Portsentry<'_> {
    let portsentry = lab.portsentry("-stcp -sudp").with("BLOCK_UNPROVEN", "0").with("FENCE_TIME", "3600");
    portsentry.with("XDP_MODE", "generic")
}

fn fence(daemon: &Daemon<'_>, wire: &Wire, source: IpAddr) {
    let host = Family::of(source).host();
    let ends = [SocketAddr::new(source, 40_000), SocketAddr::new(host, TRAP)].map(|end| end.to_string());
    wire.send(&tcp(SYN).from(&ends[0]).to(&ends[1]));
    daemon.wait_until("the source is fenced", || daemon.fenced().contains(&source));
}

fn bind(namespace: &Namespace, at: SocketAddr) -> UdpSocket {
    let socket = namespace.enter(|| UdpSocket::bind(at)).expect("a bound socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
    socket
}

/// Bound, unconnected sockets of both ends: the host's first, then the peer's.
struct Session {
    what: &'static str,
    host: UdpSocket,
    peer: UdpSocket,
}

impl Session {
    /// Sends a request from the host, and checks that the answer arrives.
    fn go_on(&self) {
        let [host, peer] = [&self.host, &self.peer].map(|end| end.local_addr().expect("an address"));
        self.host.send_to(b"?", peer).expect("a question");
        uninterrupted(|| self.peer.recv(&mut [0; 9]))
            .unwrap_or_else(|error| panic!("{}: asking: {error}", self.what));
        self.peer.send_to(b"!", host).expect("an answer");
        uninterrupted(|| self.host.recv(&mut [0; 9]))
            .unwrap_or_else(|error| panic!("{}: {error}", self.what));
    }
}

/// VPN, NTP, IKE, QUIC, DNS, SIP and syslog: both ends use the same port, or the host uses a fixed one.
#[test]
fn sessions_of_bound_sockets_lose_no_datagram() {
    const SESSIONS: [(&str, u16, u16); 9] = [
        ("DNS between servers", 53, 53),
        ("NTP", 123, 123),
        ("QUIC", 443, 50_123),
        ("IKE", 500, 500),
        ("syslog", 514, 514),
        ("OpenVPN", 1194, 1194),
        ("IKE through NAT", 4500, 4500),
        ("SIP", 5060, 5060),
        ("a resolver's question", 20_000, 53),
    ];
    let lab = Lab::new();
    let wire = Wire::open(&lab.scanner);
    let daemon = asking(&lab).start();
    for family in FAMILIES {
        let sessions = SESSIONS.map(|(what, own, other)| Session {
            what,
            host: bind(&lab.host, SocketAddr::new(family.host(), own)),
            // Two sessions share a port of the peer.
            peer: bind(
                &lab.bystander,
                SocketAddr::new(family.bystander(), if own == 20_000 { 5353 } else { other }),
            ),
        });
        sessions.iter().for_each(Session::go_on);
        fence(&daemon, &wire, family.bystander());
        for _ in 0..10 {
            sessions.iter().for_each(Session::go_on);
        }
        // In a session that the peer starts, the host has sent nothing yet.
        let other = bind(&lab.bystander, SocketAddr::new(family.bystander(), 5999));
        sessions[0].host.set_read_timeout(Some(IMPATIENCE)).expect("a limit");
        other.send_to(b"x", sessions[0].host.local_addr().expect("an address")).expect("it is sent");
        assert!(sessions[0].host.recv(&mut [0; 9]).is_err(), "a stranger's port is no session");
    }
    assert!(daemon.counter("dropped_fenced") > 0 && daemon.blocked().is_empty());
}

/// VXLAN, Geneve and BFD: each end sends from a port of its own choice to a fixed port.
#[test]
fn tunnels_with_a_port_at_random_on_each_side_go_on() {
    const TUNNEL: u16 = 4789;
    let lab = Lab::new();
    let daemon = asking(&lab).start();
    for family in FAMILIES {
        let [host, peer] = [(&lab.host, family.host()), (&lab.bystander, family.bystander())];
        let ends = [host, peer].map(|(namespace, address)| bind(namespace, SocketAddr::new(address, TUNNEL)));
        let say = |from: (&Namespace, IpAddr), to: &UdpSocket| {
            // An ephemeral port, a different one each time.
            let socket = bind(from.0, SocketAddr::new(from.1, 0));
            socket.send_to(b"frame", to.local_addr().expect("an address")).expect("it is sent");
            uninterrupted(|| to.recv(&mut [0; 9])).unwrap_or_else(|error| panic!("{family:?}: {error}"));
        };
        say(host, &ends[1]);
        fence(&daemon, &Wire::open(&lab.scanner), family.bystander());
        for _ in 0..10 {
            say(host, &ends[1]);
            say(peer, &ends[0]);
        }
    }
}

/// A service may be open to fenced sources, within their rate.
#[test]
fn datagrams_to_services_pass_if_the_administrator_says_so() {
    const SERVICE: u16 = 5140;
    for (setting, passes) in [("sessions", false), ("pass", true)] {
        let lab = Lab::new();
        let daemon = asking(&lab).with("FENCE_UDP", setting).start();
        let [host, peer] = [Family::V4.host(), Family::V4.bystander()];
        let service = bind(&lab.host, SocketAddr::new(host, SERVICE));
        let client = bind(&lab.bystander, SocketAddr::new(peer, 5141));
        fence(&daemon, &Wire::open(&lab.scanner), peer);
        service.set_read_timeout(Some(if passes { PATIENCE } else { IMPATIENCE })).expect("a limit");
        client.send_to(b"a line", SocketAddr::new(host, SERVICE)).expect("it is sent");
        assert_eq!(uninterrupted(|| service.recv(&mut [0; 9])).is_ok(), passes, "FENCE_UDP={setting}");
    }
}

/// A container's port, published by the host with DNAT.
#[test]
fn a_connection_that_is_translated_goes_on() {
    ["drop", "open"].into_iter().for_each(translated);
}

fn translated(setting: &str) {
    const PUBLISHED: u16 = 8443;
    const INSIDE: u16 = 80;
    let lab = Lab::new();
    let container = Namespace::new(&format!("{}-inside", lab.host.name()));
    lab.host.ip(&format!(
        "link add inside type veth peer name eth0 netns {}\naddress add 10.5.0.1/24 dev inside\nlink set inside up\n",
        container.name()
    ));
    container.ip("address add 10.5.0.2/24 dev eth0\nlink set eth0 up\nroute add default via 10.5.0.1\n");
    lab.host.run("sysctl", &["-qw", "net.ipv4.ip_forward=1"]);
    let host = Family::V4.host();
    let rule = format!(
        "add table ip t; add chain ip t p {{ type nat hook prerouting priority -100; }}; \
         add rule ip t p ip daddr {host} tcp dport {PUBLISHED} dnat to 10.5.0.2:{INSIDE}"
    );
    lab.host.run("nft", &[&rule]);
    let listener = container.enter(|| TcpListener::bind(("0.0.0.0", INSIDE))).expect("a listener");
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut bytes = [0; 9];
                while let Ok(length @ 1..) = client.read(&mut bytes) {
                    let _ = client.write_all(&bytes[..length]);
                }
            });
        }
    });
    let daemon =
        asking(&lab).with("CHALLENGE", "1").with("FENCE", setting).with("INTERFACES", "eth0").start();
    let at = SocketAddr::new(host, PUBLISHED);
    let connect = |patience| lab.bystander.enter(|| TcpStream::connect_timeout(&at, patience));
    let mut talk = connect(PATIENCE).expect("a connection");
    talk.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let mut go_on = || {
        talk.write_all(b"x")
            .and_then(|()| talk.read_exact(&mut [0]))
            .unwrap_or_else(|error| panic!("FENCE={setting}: {error}"));
    };
    go_on();
    fence(&daemon, &Wire::open(&lab.scanner), Family::V4.bystander());
    go_on();
    // A new connection, too, if the fence is open: the host was seen to translate one.
    let patience = if setting == "open" { PATIENCE } else { IMPATIENCE };
    assert_eq!(connect(patience).is_ok(), setting == "open", "FENCE={setting}");
    go_on();
}
