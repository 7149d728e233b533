//! Honest hosts that are lured into handshakes with traps, or that mistype a port. None is blocked, and a client of
//! a service has the highest threshold.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use portsentry_tests::lab::{Daemon, FAMILIES, Lab, Namespace, Portsentry};
use socket2::SockRef;

const SERVICE: u16 = 8080;
const TRAPS: [u16; 9] = [1, 7, 11, 15, 79, 80, 111, 119, 143];

fn asking<'a>(lab: &'a Lab, words: &str) -> Portsentry<'a> {
    let portsentry = lab.portsentry(words).with("BLOCK_UNPROVEN", "0").with("CHALLENGE", "1");
    portsentry.with("PROOF_TRAPS", "2").with("XDP_MODE", "generic")
}

fn connect(namespace: &Namespace, source: IpAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    namespace.connect_from(source, to, Duration::from_secs(3))
}

fn assert_spared(daemon: &Daemon<'_>, source: IpAddr, what: &str) {
    daemon.settle();
    assert!(daemon.fenced().contains(&source), "{what}: {source} isn't fenced");
    assert!(!daemon.blocked().contains(&source), "{what}: {source} is blocked");
}

#[test]
fn a_link_to_a_trap_blocks_no_reader() {
    let lab = Lab::new();
    let daemon = asking(&lab, "-stcp -sudp").start();
    for family in FAMILIES {
        let reader = lab.source(family);
        let trap = SocketAddr::new(family.host(), 79);
        for _ in 0..5 {
            let mut stream = connect(&lab.scanner, reader, trap).expect("a trap looks open");
            stream.write_all(b"GET /pixel.gif HTTP/1.1\r\n\r\n").expect("a request");
        }
        let line = format!("attackalert: Connect from host: {reader}/{reader} to TCP port: 79");
        daemon.log().wait_for(&line);
        assert_spared(&daemon, reader, "a reader");
        let _second = connect(&lab.scanner, reader, SocketAddr::new(family.host(), 111));
        daemon
            .log()
            .wait_for(&format!("Host {reader} has been blocked in the kernel (proof: completed handshake)"));
        daemon.wait_for_block(reader);
    }
}

#[test]
fn a_link_to_a_trap_of_the_connect_mode_blocks_no_reader() {
    for challenge in ["0", "1"] {
        let lab = Lab::new();
        let daemon = asking(&lab, "-tcp").with("CHALLENGE", challenge).start();
        for family in FAMILIES {
            let reader = lab.source(family);
            for _ in 0..5 {
                connect(&lab.scanner, reader, SocketAddr::new(family.host(), 79)).expect("a trap");
            }
            let line = format!("attackalert: Connect from host: {reader}/{reader} to TCP port: 79");
            daemon.log().wait_for(&line);
            assert_spared(&daemon, reader, challenge);
            connect(&lab.scanner, reader, SocketAddr::new(family.host(), 111)).expect("another trap");
            daemon.log().wait_for(&format!("Host {reader} has been blocked in the kernel (proof: c"));
            daemon.wait_for_block(reader);
        }
    }
}

#[test]
fn a_client_with_an_idle_connection_is_spared_and_keeps_it() {
    let lab = Lab::new();
    let service = lab.host.enter(|| TcpListener::bind(("::", SERVICE))).expect("a service");
    for words in ["-stcp", "-tcp"] {
        let daemon = asking(&lab, words).start();
        for family in FAMILIES {
            let client = lab.source(family);
            let at = SocketAddr::new(family.host(), SERVICE);
            let mut connection = connect(&lab.scanner, client, at).expect("the service");
            let (mut accepted, _) = service.accept().expect("its connection");
            // The connection is idle while a page lures the client to the traps.
            for port in &TRAPS[..7] {
                let _ = connect(&lab.scanner, client, SocketAddr::new(family.host(), *port));
            }
            assert_spared(&daemon, client, words);
            let mut said = [0; 5];
            connection.write_all(b"hello").expect("the connection goes on");
            accepted.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
            accepted.read_exact(&mut said).expect("and carries what is said");
            for port in &TRAPS {
                let _ = connect(&lab.scanner, client, SocketAddr::new(family.host(), *port));
            }
            daemon.wait_for_block(client);
        }
        daemon.terminate();
    }
}

#[test]
fn an_unblocked_source_is_counted_anew() {
    let lab = Lab::new();
    let setup = asking(&lab, "-stcp");
    let daemon = setup.start();
    for family in FAMILIES {
        let source = lab.source(family);
        // A reset is sent once. A FIN that a block drops is sent again, and would complete its handshake again
        // after the unblock.
        let knock = |port| {
            let visit = connect(&lab.scanner, source, SocketAddr::new(family.host(), port));
            visit
                .iter()
                .for_each(|stream| SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("a reset"));
        };
        [79, 111].into_iter().for_each(knock);
        daemon.wait_for_block(source);
        assert_eq!(setup.say(&format!("unblock {source}")).code, 0);
        knock(79);
        assert_spared(&daemon, source, "one trap");
        knock(15);
        daemon.wait_for_block(source);
    }
}

/// With `-S` and `--any-destination`, the host's own addresses count like those of hosts behind it.
#[test]
fn a_handshake_proves_where_no_sockets_are_asked() {
    for words in ["-stcp -S", "-stcp --any-destination", "-stcp -S --any-destination"] {
        let lab = Lab::new();
        let daemon = asking(&lab, words).start();
        for family in FAMILIES {
            let source = lab.source(family);
            for port in [79, 111] {
                let _ = connect(&lab.scanner, source, SocketAddr::new(family.host(), port));
            }
            daemon.wait_for_block(source);
            assert!(daemon.blocked().contains(&source), "{words}: {source}");
        }
        daemon.terminate();
    }
}
