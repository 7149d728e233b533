//! An hour of honest clients at high speed, with the shipped configuration plus blocking. No client is blocked, and
//! only clients that contact a trap are fenced.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

use portsentry_common::classify::Protocol;
use portsentry_tests::{
    document,
    frames::udp,
    lab::{
        Daemon, DeviceBound, FAMILIES, Family, INTERFACE, Lab, Namespace, Portsentry, Service, Wire,
        uninterrupted,
    },
};

const MINUTES: u16 = 60;
/// Number of honest clients of each address family; more than come in an hour.
const CLIENTS: u16 = 600;
/// Time limit for an answer that may not come.
const IMPATIENCE: Duration = Duration::from_millis(100);
/// Downtime of some services.
const LONG: Duration = Duration::from_millis(1500);
/// Attempts to get an answer that must come, even on a busy machine.
const TRIES: u32 = 5;

/// Ports of the shipped lists: two with restarted services, two with device-bound services, and one that is the
/// target of links.
const RESTARTED: [(Protocol, u16); 2] = [(Protocol::Tcp, 119), (Protocol::Udp, 17)];
const BOUND: [(Protocol, u16); 2] = [(Protocol::Tcp, 77), (Protocol::Udp, 19)];
const LINKED: u16 = 79;
/// Shipped ports that are likely typing errors for other ports.
const MISTYPED: [u16; 6] = [9, 13, 87, 101, 109, 540];
/// The unwatched port of the service that all clients use.
const WEB: u16 = 8080;
/// The port of the same service, for readers who stay.
const PAGES: u16 = 8081;

/// A client's reason to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Restart,
    Lease,
    LateAnswer,
    DeviceBound,
    UnaskedTry,
    Link,
    MistypedPort,
}

impl Reason {
    /// Whether its clients contact a trap, which is logged and may fence them.
    const fn meets_a_trap(self) -> bool {
        matches!(self, Self::Link | Self::MistypedPort)
    }
}

/// Returns the shipped configuration with blocking on, and with the lab's files. It names the interfaces, because
/// `ALL_NLO` takes the one below the bridge for a container's veth.
fn armed<'lab>(lab: &'lab Lab, flags: &str) -> Portsentry<'lab> {
    let list = lab.files().join("portsentry.blocklist").display().to_string();
    fs::write(&list, "").expect("a list");
    let setup = lab.portsentry(flags).with("BLOCK_LIST", &list).with("INTERFACES", "eth0,eth1");
    let own = [
        "INTERFACES",
        "IGNORE_FILE",
        "BLOCK_LIST",
        "HISTORY_FILE",
        "BLOCKED_FILE",
        "EVIDENCE_FILE",
        "WRAPPER_HOSTS_DENY",
        "CONTROL_SOCKET",
        "PIN_PATH",
        "BLOCK_TCP",
        "BLOCK_UDP",
    ];
    let mut text = String::new();
    for line in document::read("etc/portsentry.conf").lines() {
        let key = line.split_once('=').map_or("", |(key, _)| key);
        if own.contains(&key) {
            let _ = writeln!(text, "{key}=\"{}\"", setup.setting(key));
        } else {
            let _ = writeln!(text, "{line}");
        }
    }
    assert!(
        text.contains("\nBLOCK_TCP=\"1\"\n") && text.contains("\nCHALLENGE=\"1\"\n"),
        "it blocks, on proof"
    );
    setup.with_config(&text)
}

/// The clients of an hour, with their reasons.
struct Hour<'lab> {
    lab: &'lab Lab,
    next: u16,
    came: Vec<(Reason, IpAddr)>,
    unserved: BTreeMap<Reason, u32>,
}

impl<'lab> Hour<'lab> {
    /// Gives the scanner's namespace the clients' addresses: behind a router, and each IPv6 client in its own /64.
    fn new(lab: &'lab Lab) -> Self {
        let addresses = (0..CLIENTS).flat_map(|number| FAMILIES.map(|family| client(number, family)));
        let mut script = String::new();
        for address in addresses {
            let rest = if address.is_ipv4() { "/32" } else { "/128 nodad" };
            let _ = writeln!(script, "address replace {address}{rest} dev {INTERFACE}");
        }
        lab.scanner.ip(&script);
        let [v4, v6] = FAMILIES.map(|family| family.member(2));
        lab.host.ip(&format!("route add 198.18.0.0/15 via {v4}\nroute add 2001:db8:c11e::/48 via {v6}\n"));
        Self { lab, next: 0, came: Vec::new(), unserved: BTreeMap::new() }
    }

    /// Returns a new client.
    fn client(&mut self, reason: Reason, family: Family) -> IpAddr {
        assert!(self.next < CLIENTS, "there are only {CLIENTS} clients");
        let address = client(self.next, family);
        self.next += 1;
        self.came.push((reason, address));
        address
    }

    /// Records whether a client was served.
    fn is_served(&mut self, reason: Reason, is_served: bool) {
        *self.unserved.entry(reason).or_default() += u32::from(!is_served);
    }

    /// Restarts a service while its client reconnects.
    fn restart(
        &mut self,
        family: Family,
        service: &mut Option<Service>,
        at: (Protocol, u16),
        down: Duration,
    ) {
        let lab = self.lab;
        let client = self.client(Reason::Restart, family);
        let host = SocketAddr::new(family.host(), at.1);
        let before = reaches(&lab.scanner, client, at.0, host);
        drop(service.take());
        thread::sleep(down);
        for _ in 0..3 {
            let _ = ask(&lab.scanner, client, at.0, host);
        }
        *service = Some(Service::start(&lab.host, at.0, at.1));
        let after = reaches(&lab.scanner, client, at.0, host);
        self.is_served(Reason::Restart, before && after);
    }

    /// A DHCP server answers the host's client, which listens on a packet socket.
    fn lease(&mut self, family: Family, wire: &Wire) {
        let server = self.client(Reason::Lease, family);
        let ports = if family == Family::V4 { (67, 68) } else { (547, 546) };
        let ends = [SocketAddr::new(server, ports.0), SocketAddr::new(family.host(), ports.1)];
        wire.send(&udp().payload(240).from(&ends[0].to_string()).to(&ends[1].to_string()));
    }

    /// A name server answers after the host has given up. The port was chosen by the kernel, a resolver, or RPC.
    fn late_answer(&mut self, family: Family, minute: u16) {
        let server = self.client(Reason::LateAnswer, family);
        let port = [0, 0, 31337, 635, 54321][usize::from(minute) % 5];
        let names = self.lab.scanner.enter(|| UdpSocket::bind(SocketAddr::new(server, 53))).expect("a port");
        names.set_read_timeout(Some(Duration::from_secs(10))).expect("a limit");
        let asker = self.lab.host.enter(|| UdpSocket::bind(SocketAddr::new(family.host(), port)));
        let asker = asker.expect("a port");
        asker.send_to(b"where?", SocketAddr::new(server, 53)).expect("a question");
        let mut question = [0; 16];
        let (_, at) = uninterrupted(|| names.recv_from(&mut question)).expect("the question");
        drop(asker);
        names.send_to(b"there", at).expect("an answer");
    }

    /// A client contacts a service bound to the bridge above the watched interface.
    fn device_bound(&mut self, minute: u16, host: IpAddr) {
        let client = IpAddr::from(Ipv4Addr::new(203, 0, 113, u8::try_from(100 + minute).expect("a number")));
        self.came.push((Reason::DeviceBound, client));
        for (protocol, port) in BOUND {
            let is_served = reaches(&self.lab.bystander, client, protocol, SocketAddr::new(host, port));
            self.is_served(Reason::DeviceBound, is_served);
        }
    }

    /// Software tries optional services of the host, and uses those that exist.
    fn unasked_tries(&mut self, family: Family) {
        const TCP: [u16; 14] = [7, 23, 25, 80, 110, 113, 139, 143, 389, 443, 445, 515, 853, 9100];
        const UDP: [u16; 10] = [9, 69, 123, 137, 161, 443, 500, 853, 5353, 51413];
        let client = self.client(Reason::UnaskedTry, family);
        let ports = TCP.map(|port| (Protocol::Tcp, port)).into_iter();
        for (protocol, port) in ports.chain(UDP.map(|port| (Protocol::Udp, port))) {
            let _ = ask(&self.lab.scanner, client, protocol, SocketAddr::new(family.host(), port));
        }
        let web = SocketAddr::new(family.host(), WEB);
        let is_served = reaches(&self.lab.scanner, client, Protocol::Tcp, web);
        self.is_served(Reason::UnaskedTry, is_served);
    }

    /// A reader of the web service follows a link to a trap, and retries.
    fn link(&mut self, family: Family) {
        let client = self.client(Reason::Link, family);
        let mut page =
            connect(&self.lab.scanner, client, SocketAddr::new(family.host(), PAGES)).expect("the web");
        for letter in b"hel" {
            let _ = page.write_all(&[*letter]);
            let _ = ask(&self.lab.scanner, client, Protocol::Tcp, SocketAddr::new(family.host(), LINKED));
        }
        // Its open connection continues.
        page.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
        let mut answer = [0; 5];
        let is_served = page.write_all(b"lo").and_then(|()| page.read_exact(&mut answer)).is_ok();
        self.is_served(Reason::Link, is_served);
    }

    /// A client mistypes the port, and then uses the right one.
    fn mistyped_port(&mut self, family: Family, minute: u16) {
        let client = self.client(Reason::MistypedPort, family);
        let port = MISTYPED[usize::from(minute) % MISTYPED.len()];
        let _ = ask(&self.lab.scanner, client, Protocol::Tcp, SocketAddr::new(family.host(), port));
        let web = SocketAddr::new(family.host(), WEB);
        let is_served = ask(&self.lab.scanner, client, Protocol::Tcp, web).is_ok();
        self.is_served(Reason::MistypedPort, is_served);
    }

    /// Fails if a client was blocked, or was fenced without having contacted a trap.
    fn judge(&self, daemon: &Daemon<'_>) {
        let lines = daemon.log().lines();
        let is_said = |client: IpAddr, what: &str| {
            lines.iter().any(|line| {
                let named = [format!("Host {client} "), format!("Host {}/64 ", network(client))];
                named.iter().any(|name| line.contains(name)) && line.contains(what)
            })
        };
        let [blocked, fenced] = [daemon.blocked(), daemon.fenced()];
        let holds = |held: &[IpAddr], client| held.iter().any(|it| network(*it) == network(client));
        let mut report = String::new();
        let mut wrong = 0;
        for reason in [
            Reason::Restart,
            Reason::Lease,
            Reason::LateAnswer,
            Reason::DeviceBound,
            Reason::UnaskedTry,
            Reason::Link,
            Reason::MistypedPort,
        ] {
            let came: Vec<IpAddr> =
                self.came.iter().filter(|(of, _)| *of == reason).map(|(_, client)| *client).collect();
            let count = |held: &[IpAddr], what: &str| {
                came.iter().filter(|it| holds(held, **it) || is_said(**it, what)).count()
            };
            let [blocked, fenced] = [count(&blocked, "has been blocked"), count(&fenced, "has been fenced")];
            let unserved = self.unserved.get(&reason).copied().unwrap_or(0);
            let _ = writeln!(
                report,
                "{reason:?}: {} came, {unserved} went without, {fenced} were fenced, {blocked} blocked",
                came.len()
            );
            assert!(came.len() >= usize::from(MINUTES), "{report}");
            wrong += blocked;
            if !reason.meets_a_trap() {
                wrong += fenced + usize::try_from(unserved).expect("a number");
            }
            if reason == Reason::Link {
                wrong += usize::try_from(unserved).expect("a number");
                assert!(fenced > 0, "the links led to no trap:\n{report}");
            }
        }
        print!("{report}");
        let about = lines.iter().filter(|line| line.contains("Host ")).take(40);
        let about: Vec<_> = about.map(String::as_str).collect();
        assert_eq!(wrong, 0, "{report}\n{}", about.join("\n"));
    }
}

/// Returns client `number`.
fn client(number: u16, family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from_bits(Ipv4Addr::new(198, 18, 1, 0).to_bits() + u32::from(number)).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0xc11e, number, 0, 0, 0, 1).into(),
    }
}

/// Returns an IPv6 source's /64, the network by which it may be blocked.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(it) => Ipv6Addr::from_bits(it.to_bits() >> 64 << 64).into(),
    }
}

fn connect(from: &Namespace, source: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let stream = from.connect_from(source, to, IMPATIENCE)?;
    stream.set_read_timeout(Some(IMPATIENCE))?;
    Ok(stream)
}

/// Sends one request, as a client with a short timeout.
fn ask(from: &Namespace, source: IpAddr, protocol: Protocol, to: SocketAddr) -> io::Result<()> {
    let mut answer = [0; 5];
    if protocol == Protocol::Tcp {
        let mut stream = connect(from, source, to)?;
        stream.write_all(b"hello")?;
        return stream.read_exact(&mut answer);
    }
    from.enter(|| {
        let socket = UdpSocket::bind(SocketAddr::new(source, 0))?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(IMPATIENCE / 10))?;
        socket.send(b"hello")?;
        socket.recv(&mut answer).map(drop)
    })
}

/// Serves readers who keep their connections open.
fn serve_pages(lab: &Lab) {
    for family in FAMILIES {
        let at = SocketAddr::new(family.host(), PAGES);
        let listener = lab.host.enter(|| TcpListener::bind(at)).expect("a listener");
        thread::spawn(move || {
            for mut reader in listener.incoming().flatten() {
                thread::spawn(move || {
                    let mut request = [0; 5];
                    reader.read_exact(&mut request).and_then(|()| reader.write_all(&request))
                });
            }
        });
    }
}

/// Whether a client is served.
fn reaches(from: &Namespace, source: IpAddr, protocol: Protocol, to: SocketAddr) -> bool {
    (0..TRIES).any(|_| ask(from, source, protocol, to).is_ok())
}

/// Runs an hour with a daemon of these `flags`.
fn live(flags: &str) {
    let lab = Lab::new();
    let (beyond, _) = lab.plug_in_second(&lab.bystander);
    lab.host.ip(&format!(
        "link add br1 type bridge mcast_snooping 0\nlink set eth1 master br1\naddress del {beyond}/24 dev eth1\n\
         address add {beyond}/24 dev br1\nlink set br1 up\n"
    ));
    let seats: Vec<_> =
        (0..MINUTES).map(|it| format!("address add 203.0.113.{}/24 dev eth1", 100 + it)).collect();
    lab.bystander.ip(&seats.join("\n"));
    let mut hour = Hour::new(&lab);
    let _web = lab.serve_tcp(WEB);
    serve_pages(&lab);
    let bound = BOUND.map(|(protocol, port)| DeviceBound::start(&lab.host, "br1", protocol, port));
    let mut restarted = RESTARTED.map(|(protocol, port)| Some(Service::start(&lab.host, protocol, port)));
    let daemon = armed(&lab, flags).start();
    let wire = Wire::mouth(&lab.scanner);
    // A DHCP client's packet socket.
    let _packets = Wire::open(&lab.host);
    for minute in 0..MINUTES {
        let family = FAMILIES[usize::from(minute % 2)];
        for (service, at) in restarted.iter_mut().zip(RESTARTED) {
            // Most restarts take no time; some take longer than the lifetime of an entry in the benign-flow cache.
            let down = if minute % 10 == 0 { LONG } else { Duration::ZERO };
            hour.restart(family, service, at, down);
        }
        hour.lease(family, &wire);
        hour.late_answer(family, minute);
        hour.device_bound(minute, beyond);
        hour.unasked_tries(family);
        hour.link(family);
        hour.mistyped_port(family, minute);
    }
    // Scanners are still blocked. By then, the log covers everything received before.
    let scanner = lab.source(Family::V4);
    for port in [1, 11, 15, 95, 117, 556] {
        let _ = ask(&lab.scanner, scanner, Protocol::Tcp, SocketAddr::new(Family::V4.host(), port));
    }
    daemon.log().wait_for(&format!("Host {scanner} has been blocked in the kernel"));
    hour.judge(&daemon);
    drop(bound);
}

#[test]
fn an_hour_blocks_no_honest_client() {
    live("-stcp -sudp");
}

#[test]
fn an_hour_blocks_no_honest_client_where_every_low_port_is_watched() {
    live("-atcp -audp");
}
