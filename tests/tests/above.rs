//! The host's sockets bound to a device above the watched interface, with a framed peer. A look-up from the
//! interface doesn't find them, and a fence of the peer must not cut their connections.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use portsentry_common::classify::Protocol;
use portsentry_tests::{
    frames::{SYN, tcp},
    lab::{Daemon, FAMILIES, Lab, Namespace, Portsentry, Reach, Service, Wire, uninterrupted},
};
use socket2::{Domain, Socket, Type};

use crate::served::build_bridge;

const TRAP: u16 = 11;
/// Port of the peer's service.
const STORE: u16 = 7777;
const NAMES: u16 = 53;
/// Port on which the peer talks to the host.
const TALK: u16 = 9090;
/// Source port of the host's connected socket: not assigned automatically.
const FIXED: u16 = 500;
const PATIENCE: Duration = Duration::from_secs(10);
const IMPATIENCE: Duration = Duration::from_millis(300);

/// The two ends, and the device between them.
pub struct Asking<'lab> {
    pub host: &'lab Namespace,
    pub device: &'static str,
    pub peer: &'lab Namespace,
    pub at: IpAddr,
}

impl Asking<'_> {
    fn socket(&self, r#type: Type, port: u16) -> io::Result<Socket> {
        let every: IpAddr =
            if self.at.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = Socket::new(Domain::for_address(SocketAddr::new(self.at, 0)), r#type, None)?;
        socket.bind_device(Some(self.device.as_bytes()))?;
        socket.bind(&SocketAddr::new(every, port).into())?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(socket)
    }

    /// Connects to `port` of the peer.
    fn connect(&self, port: u16) -> TcpStream {
        let connected = self.host.enter(|| {
            let socket = self.socket(Type::STREAM, 0)?;
            socket.connect_timeout(&SocketAddr::new(self.at, port).into(), PATIENCE).map(|()| socket)
        });
        connected.unwrap_or_else(|error| panic!("{} by {}: {error}", self.at, self.device)).into()
    }

    fn datagrams(&self, port: u16) -> UdpSocket {
        let opened = self.host.enter(|| self.socket(Type::DGRAM, port));
        opened.unwrap_or_else(|error| panic!("UDP port {port} on {}: {error}", self.device)).into()
    }

    /// Fails unless every connection continues after `fence` has fenced the peer.
    pub fn goes_on(&self, daemon: &Daemon<'_>, fence: impl FnOnce()) {
        let _services = [(Protocol::Tcp, STORE), (Protocol::Udp, NAMES)]
            .map(|(protocol, port)| Service::start(self.peer, protocol, port));
        let listener =
            self.peer.enter(|| TcpListener::bind(SocketAddr::new(self.at, TALK))).expect("a listener");
        let mut old = self.connect(TALK);
        let (mut far, _) = listener.accept().expect("it is accepted");
        let connected = self.datagrams(FIXED);
        let names = SocketAddr::new(self.at, NAMES);
        connected.connect(names).expect("a peer");
        connected.set_read_timeout(Some(IMPATIENCE)).expect("a limit");
        fence();
        daemon.log().wait_for(&format!("Host {} has been fenced for", self.at));
        for turn in 0..5 {
            say(&mut far, b"hello");
            old.read_exact(&mut [0; 5]).unwrap_or_else(|error| panic!("turn {turn}: {error}"));
            say(&mut old, b"hello");
            far.read_exact(&mut [0; 5]).unwrap_or_else(|error| panic!("turn {turn}: {error}"));
        }
        let mut new = self.connect(STORE);
        say(&mut new, b"hello");
        new.read_exact(&mut [0; 5]).expect("a new connection to the peer");
        let free = self.datagrams(0);
        free.send_to(b"hello", names).expect("a question");
        uninterrupted(|| free.recv(&mut [0; 5])).expect("an answer to an ephemeral port");
        // The next list of sockets, within two seconds, includes the socket.
        daemon.wait_until("an answer to a connected socket", || {
            connected.send(b"hello").expect("a question");
            connected.recv(&mut [0; 5]).is_ok()
        });
        assert!(daemon.fenced().contains(&self.at) && !daemon.blocked().contains(&self.at));
    }
}

fn say(stream: &mut TcpStream, words: &[u8]) {
    stream.write_all(words).expect("words are sent");
}

/// Returns a configuration with which the daemon fences.
pub fn fencing<'lab>(lab: &'lab Lab, flags: &str) -> Portsentry<'lab> {
    lab.portsentry(flags).with("BLOCK_UNPROVEN", "0").with("CHALLENGE", "1").with("XDP_MODE", "generic")
}

#[test]
fn a_request_by_a_bridge_continues_when_its_peer_is_fenced() {
    let lab = Lab::new();
    build_bridge(&lab);
    let services = [lab.serve_tcp(8080), lab.serve_udp(8080)];
    let daemon = fencing(&lab, "-stcp -sudp").start();
    let wire = Wire::open(&lab.scanner);
    for family in FAMILIES {
        let peer = family.bystander();
        let asking = Asking { host: &lab.host, device: "br0", peer: &lab.bystander, at: peer };
        asking.goes_on(&daemon, || {
            let ends = [SocketAddr::new(peer, 40_000), SocketAddr::new(family.host(), TRAP)];
            wire.send(&tcp(SYN).from(&ends[0].to_string()).to(&ends[1].to_string()));
        });
        for service in &services {
            let is_reached = service.answers(&lab.bystander, peer, Reach::Unexpected);
            assert!(!is_reached, "{service:?} is open to a fenced source over {family:?}");
        }
    }
}
