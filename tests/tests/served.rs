//! Served ports that have no socket as the packet arrives, and ports that are not served.

use std::{
    fs,
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use portsentry::kernel::TrapSlot;
use portsentry_common::{
    bound::{Horizon, trap},
    classify::Protocol::{self, Tcp, Udp},
    settings::Settings,
};
use portsentry_tests::{
    frames::{SYN, tcp},
    kernel::InKernel,
    lab::{Daemon, FAMILIES, Family, INTERFACE, Lab, Namespace, Probe},
    namespace::with_sockets,
    outcome::Judge,
    scenario::Scenario,
};
use socket2::{Domain, Socket, Type};

const NOTHING: [&str; 0] = [];
const PATIENCE: Duration = Duration::from_secs(10);
/// Time limit for the refusal of a datagram.
const IMPATIENCE: Duration = Duration::from_millis(500);
const PROTOCOLS: [Protocol; 2] = [Tcp, Udp];

/// Opens a service's socket: a listener, or a bound datagram socket.
fn serve(host: &Namespace, protocol: Protocol, at: SocketAddr, device: Option<&str>) -> Socket {
    let r#type = if protocol == Tcp { Type::STREAM } else { Type::DGRAM };
    let open = || -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(at), r#type, None)?;
        socket.set_reuse_address(true)?;
        if at.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind_device(device.map(str::as_bytes))?;
        socket.bind(&at.into())?;
        if protocol == Tcp {
            socket.listen(64)?;
        }
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(socket)
    };
    host.enter(open).unwrap_or_else(|error| panic!("{protocol:?} {at}: {error}"))
}

/// Closes the socket, even if a process that another test is starting briefly has a copy.
fn close(socket: Socket) {
    // For UDP this returns ENOTCONN, but works all the same.
    let _ = socket.shutdown(std::net::Shutdown::Both);
    drop(socket);
}

/// Whether the service receives a client's data.
fn is_reached(service: &Socket, client: &Namespace, source: IpAddr, at: SocketAddr) -> bool {
    if service.r#type().expect("a socket's type") == Type::STREAM {
        let asked = ask_tcp(client, source, at);
        if let Err(error) = &asked {
            eprintln!("{source} to {at}: {error}");
        }
        return asked.is_ok();
    }
    let _probe = Probe::udp(client, source, at);
    service.recv(&mut [std::mem::MaybeUninit::uninit(); 16]).is_ok()
}

fn ask_tcp(client: &Namespace, source: IpAddr, at: SocketAddr) -> io::Result<()> {
    client.connect_from(source, at, PATIENCE).map(drop)
}

/// Returns the answer to a client of a closed port.
fn ask(protocol: Protocol, client: &Namespace, source: IpAddr, at: SocketAddr) -> io::Result<()> {
    match protocol {
        Tcp => ask_tcp(client, source, at),
        Udp => client.enter(|| {
            let socket = UdpSocket::bind(SocketAddr::new(source, 0))?;
            socket.connect(at)?;
            socket.set_read_timeout(Some(IMPATIENCE))?;
            socket.send(b"hello")?;
            socket.recv(&mut [0; 16]).map(drop)
        }),
    }
}

/// Fails unless the network stack refuses `source` and the daemon doesn't report it. Retries while a process that
/// another test is starting has a copy of the socket.
fn assert_refused(daemon: &Daemon<'_>, protocol: Protocol, source: IpAddr, at: SocketAddr) {
    daemon.wait_until(&format!("{protocol:?} to {at} is refused"), || {
        let answer = ask(protocol, &daemon.lab().scanner, source, at);
        answer.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    });
    assert!(!daemon.blocked().contains(&source), "{:#?}", daemon.log().lines());
}

/// Returns the unspecified address of a family.
fn every(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// Creates a bridge with the host's addresses, and adds the interface to it.
pub fn build_bridge(lab: &Lab) {
    lab.host.ip("link add br0 type bridge mcast_snooping 0\nlink set br0 up");
    let addresses = FAMILIES.map(|family| {
        let (address, prefix) = (family.host(), family.prefix());
        format!(
            "address del {address}/{prefix} dev {INTERFACE}\naddress add {address}/{prefix} dev br0 nodad\n"
        )
    });
    lab.host.ip(&format!("{}link set {INTERFACE} master br0", addresses.concat()));
}

#[test]
fn a_service_bound_to_a_bridge_is_a_service_to_its_ports() {
    let lab = Lab::new();
    build_bridge(&lab);
    let ports = |protocol| if protocol == Tcp { [143, 80] } else { [69, 161] };
    let services: Vec<_> = FAMILIES
        .into_iter()
        .flat_map(|family| PROTOCOLS.map(|protocol| (family, protocol)))
        .flat_map(|(family, protocol)| {
            let [any, one] = ports(protocol);
            [SocketAddr::new(every(family), any), SocketAddr::new(family.host(), one)]
                .map(|at| (family, at.port(), serve(&lab.host, protocol, at, Some("br0"))))
        })
        .collect();
    let daemon = lab.portsentry("-stcp -sudp").with("SERVED_GRACE", "0").start();
    for (family, port, service) in &services {
        let source = lab.source(*family);
        for _ in 0..2 {
            let at = SocketAddr::new(family.host(), *port);
            assert!(is_reached(service, &lab.scanner, source, at), "{at}: {:#?}", daemon.log().lines());
        }
        assert_eq!(daemon.lines_about(source), NOTHING, "port {port} over {family:?}");
    }
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    assert_eq!(daemon.lines_about(source).len(), 1, "another port is a trap");
}

#[test]
fn a_service_bound_to_one_address_of_a_bridge_leaves_the_others_watched() {
    let lab = Lab::new();
    build_bridge(&lab);
    let other = Family::V4.member(99);
    lab.host.ip(&format!("address add {other}/24 dev br0"));
    let at = SocketAddr::new(other, 80);
    let service = serve(&lab.host, Tcp, at, Some("br0"));
    let daemon = lab.portsentry("-stcp").start();
    let client = lab.source(Family::V4);
    assert!(is_reached(&service, &lab.scanner, client, at));
    assert_eq!(daemon.lines_about(client), NOTHING);
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 80");
    assert_eq!(daemon.lines_about(source).len(), 1);
}

#[test]
fn a_device_that_comes_later_and_its_services_are_known_in_time() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp").with("SERVED_GRACE", "0").start();
    lab.host.ip(&format!(
        "link add link {INTERFACE} name above0 address 02:00:00:00:00:88 type macvlan mode bridge\n\
         address add 192.0.2.88/24 dev above0\nlink set above0 up"
    ));
    // Stops the device below from answering for the new address.
    lab.scanner
        .ip(&format!("neighbour replace 192.0.2.88 lladdr 02:00:00:00:00:88 dev {INTERFACE} nud permanent"));
    let at = SocketAddr::new(Family::V4.member(88), 143);
    let source = lab.source(Family::V4);
    daemon.wait_until("the new address is watched", || {
        let _probe = Probe::tcp(&lab.scanner, source, SocketAddr::new(at.ip(), 11));
        daemon.blocked().contains(&source)
    });
    let service = serve(&lab.host, Tcp, at, Some("above0"));
    let source = lab.source(Family::V4);
    assert!(is_reached(&service, &lab.scanner, source, at));
    assert_eq!(daemon.lines_about(source), NOTHING);
}

#[test]
fn a_restart_locks_nobody_out_in_any_mode() {
    for flags in ["-stcp -sudp", "-atcp -audp", "-tcp -udp"] {
        let lab = Lab::new();
        let services = FAMILIES.map(|family| {
            [(Tcp, 143), (Udp, 69)].map(|(protocol, port)| {
                let socket = serve(&lab.host, protocol, SocketAddr::new(every(family), port), None);
                (family, protocol, port, socket)
            })
        });
        let daemon = start(&lab, flags);
        for (family, protocol, port, socket) in services.into_iter().flatten() {
            let (source, at) = (lab.source(family), SocketAddr::new(family.host(), port));
            assert!(is_reached(&socket, &lab.scanner, source, at), "{flags}");
            close(socket);
            for _ in 0..3 {
                assert_refused(&daemon, protocol, source, at);
            }
            let again = serve(&lab.host, protocol, SocketAddr::new(every(family), port), None);
            assert!(is_reached(&again, &lab.scanner, source, at), "{flags}");
            assert_eq!(told_of(&daemon, source), NOTHING, "{flags}: {protocol:?} over {family:?}");
        }
    }
}

/// Starts a daemon with these flags. In a connect mode it blocks sources that complete a connection.
fn start<'lab>(lab: &'lab Lab, flags: &str) -> Daemon<'lab> {
    lab.portsentry(flags).start()
}

/// Returns the log lines about `source`, after the log has a later visitor's line.
fn told_of(daemon: &Daemon<'_>, source: IpAddr) -> Vec<String> {
    let lab = daemon.lab();
    let last = lab.source(Family::V4);
    let _probe = Probe::tcp(&lab.scanner, last, SocketAddr::new(Family::V4.host(), 11));
    daemon.log().wait_for(&last.to_string());
    daemon.told_of(source)
}

#[test]
fn a_service_that_lives_for_a_moment_leaves_its_client_free() {
    for flags in ["-stcp -sudp", "-tcp -udp"] {
        let lab = Lab::new();
        let daemon = start(&lab, flags);
        assert!(daemon.log().count("Services are found by bind hooks") > 0, "{:#?}", daemon.log().lines());
        for family in FAMILIES {
            for (protocol, port) in [(Tcp, 143), (Udp, 69)] {
                let (source, at) = (lab.source(family), SocketAddr::new(family.host(), port));
                let socket = serve(&lab.host, protocol, SocketAddr::new(every(family), port), None);
                thread::sleep(Duration::from_millis(50));
                close(socket);
                assert_refused(&daemon, protocol, source, at);
                assert_eq!(told_of(&daemon, source), NOTHING, "{flags}: {protocol:?} over {family:?}");
            }
        }
    }
}

#[test]
fn status_tells_how_bound_ports_are_known_and_since_when() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp").start();
    let is = |what: &str| daemon.setup().say("status --json").json()["maps"]["bound_ports"][what] == true;
    let said = || daemon.setup().say("doctor").out;
    let warns = || said().lines().any(|line| line.starts_with("warning") && line.contains("bound ports"));
    assert!(is("by_hooks") && !is("is_overdue") && !warns());
    daemon.signal(Signal::SIGSTOP);
    daemon.wait_until("the last dump is overdue", || is("is_overdue"));
    assert!(warns() && is("by_hooks"));
    daemon.signal(Signal::SIGCONT);
    daemon.wait_until("there is another dump", || !is("is_overdue"));
}

#[test]
fn a_service_that_was_on_one_address_leaves_the_others_watched() {
    let lab = Lab::new();
    let other = Family::V4.member(99);
    lab.host.ip(&format!("address add {other}/24 dev {INTERFACE}"));
    let services = [Tcp, Udp].map(|protocol| serve(&lab.host, protocol, SocketAddr::new(other, 69), None));
    let daemon = lab.portsentry("-stcp -sudp").with("TCP_PORTS", "1,7,11,69").start();
    drop(services);
    for protocol in PROTOCOLS {
        assert_refused(&daemon, protocol, lab.source(Family::V4), SocketAddr::new(other, 69));
    }
    for words in ["-sS -p 69", "-sU -p 69"] {
        let source = lab.source(Family::V4);
        lab.nmap(source, words);
        assert_eq!(daemon.lines_about(source).len(), 1, "{words}");
    }
}

#[test]
fn a_service_on_loopback_is_none_however_long() {
    let lab = Lab::new();
    let _services = FAMILIES.map(|family| {
        let loopback =
            if family == Family::V4 { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        PROTOCOLS.map(|protocol| serve(&lab.host, protocol, SocketAddr::new(loopback, 7), None))
    });
    let daemon = lab.portsentry("-stcp -sudp").start();
    for family in FAMILIES {
        for words in ["-sS -p 7", "-sU -p 7"] {
            let source = lab.source(family);
            lab.nmap(source, words);
            assert_eq!(daemon.lines_about(source).len(), 1, "{words} over {family:?}");
        }
    }
}

#[test]
fn a_port_is_a_trap_again_once_the_grace_is_over() {
    let lab = Lab::new();
    let service = serve(&lab.host, Tcp, SocketAddr::new(every(Family::V4), 143), None);
    let daemon = lab.portsentry("-stcp").with("SERVED_GRACE", "2").start();
    let at = SocketAddr::new(Family::V4.host(), 143);
    drop(service);
    let gone = Instant::now();
    assert_refused(&daemon, Tcp, lab.source(Family::V4), at);
    let source = lab.source(Family::V4);
    daemon.wait_until("it is a trap again", || {
        let _probe = Probe::tcp(&lab.scanner, source, at);
        daemon.blocked().contains(&source)
    });
    assert!(gone.elapsed() >= Duration::from_secs(2), "after {:?}", gone.elapsed());
}

#[test]
fn a_restarted_daemon_knows_the_served_ports() {
    let lab = Lab::new();
    let service = serve(&lab.host, Tcp, SocketAddr::new(every(Family::V4), 143), None);
    let daemon = lab.portsentry("-stcp").start();
    daemon.kill();
    drop(service);
    let daemon = lab.portsentry("-stcp").start();
    assert_refused(&daemon, Tcp, lab.source(Family::V4), SocketAddr::new(Family::V4.host(), 143));
}

/// A killed daemon's hooks keep working: a port bound while its last list of sockets still counts is no trap.
#[test]
fn a_service_that_begins_after_a_crash_is_a_service() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp -sudp").start();
    assert!(daemon.log().count("Services are found by bind hooks") > 0, "{:#?}", daemon.log().lines());
    let hooks = || fs::read_dir(lab.pins().join("hooks")).map_or(0, Iterator::count);
    assert_eq!(hooks(), 2);
    daemon.kill();
    assert_eq!(hooks(), 2);
    let clients = FAMILIES.map(|family| {
        let at = SocketAddr::new(family.host(), 143);
        let service = serve(&lab.host, Tcp, SocketAddr::new(every(family), 143), None);
        let source = lab.source(family);
        assert!(is_reached(&service, &lab.scanner, source, at), "{family:?}");
        source
    });
    let daemon = lab.portsentry("-stcp -sudp").start();
    for client in clients {
        assert!(!daemon.blocked().contains(&client), "{client}");
    }
    assert_eq!(hooks(), 2, "the next daemon's have replaced them");
    drop(daemon.terminate());
    assert_eq!(hooks(), 0, "an orderly end leaves none");
}

#[test]
fn ports_steered_by_another_program_are_served_and_ours_are_not() {
    with_sockets(&[], || {
        let scenario = Scenario::with(|settings| settings.traps = Settings::TCP_TRAPS);
        let mut kernel = InKernel::new(&scenario);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let _link =
            kernel.kernel().set_traps(&[(TrapSlot::TcpV4, &listener)]).expect("a program that steers");
        let frame = tcp(SYN).to("198.51.100.1:1025").frame(1);
        let steered = [("steered", 1)].into();
        assert_eq!(kernel.judge(&frame).counted, steered, "no listener, and the next one is steered");
        assert_eq!(
            kernel.judge(&frame).counted,
            [("served", 1)].into(),
            "the listener may be another program's"
        );
        let mut horizon = Horizon::NONE;
        let port = listener.local_addr().expect("an address").port();
        horizon.traps[trap(Tcp, 4)] = port.into();
        kernel.kernel().bound.as_mut().expect("a table").publish(&horizon).expect("it is published");
        assert_eq!(kernel.judge(&frame).counted, steered, "it is ours");
    });
}
