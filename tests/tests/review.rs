//! `portsentry review`: its output before PortSentry is armed.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use portsentry_tests::lab::{FAMILIES, Family, Lab};
use socket2::{Domain, Socket, Type};

#[test]
fn an_observing_daemon_has_evidence_of_scanners_and_of_single_probes() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").with("BLOCK_TCP", "0").with("BLOCK_UDP", "0");
    let daemon = setup.start();
    assert_eq!(setup.say("review").out, "no probe was recorded\n");
    for family in FAMILIES {
        let (scanner, mistaken) = (lab.source(family), lab.source(family));
        lab.nmap(scanner, "-sS -p 1-150 --max-retries 2");
        lab.nmap(mistaken, "-sS -p 79 --max-retries 2");
        daemon.wait_until("the evidence is written", || {
            let review = setup.say("review --json").json();
            let scanners = review["scanners"].as_array().expect("scanners").clone();
            let ports = |row: &serde_json::Value| row["ports"].as_array().map_or(0, Vec::len);
            let scanner = scanner.to_string();
            scanners.iter().any(|row| row["address"] == scanner.as_str() && ports(row) == 9)
                && review["others"] == if family == FAMILIES[0] { 1 } else { 2 }
        });
        let why = setup.say(&format!("why {scanner} --json")).json();
        assert_eq!(why["evidence"].as_array().map(Vec::len), Some(9), "{why}");
        assert!(why["held"].is_null());
    }
    let page = setup.say("review").out;
    assert!(page.contains("\nScanners: 2\nADDRESS") && page.ends_with("\nOther sources: 2\n"), "{page}");
}

/// A source held by its IPv6 network is a client if any address of the network has a connection.
#[test]
fn a_client_is_recognised_in_its_network() {
    const CLIENTS: [&str; 2] = ["2001:db8:aaaa:1::5", "2001:db8:aaaa:1::6"];
    let lab = Lab::new();
    let gateway = lab.source(Family::V6);
    lab.host.ip(&format!("route add 2001:db8:aaaa::/48 via {gateway} dev eth0\n"));
    for client in CLIENTS {
        lab.scanner.ip(&format!("address add {client}/128 dev eth0 nodad\n"));
    }
    let setup = lab.portsentry("-stcp").with("BLOCK_TCP", "0").with("IPV6_PREFIX", "64");
    let daemon = setup.start();
    let [connected, mistaken] = CLIENTS.map(|text| text.parse::<IpAddr>().expect("an address"));
    let at = SocketAddr::new(Family::V6.host(), 8080);
    let listener = lab.host.enter(|| TcpListener::bind(at)).expect("a listener");
    let client: TcpStream = lab.scanner.enter(|| {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::new(connected, 0).into()).expect("an address");
        socket.connect(&at.into()).expect("a connection");
        socket.into()
    });
    let accepted = listener.accept().expect("a client");
    let ports = |groups: &str| {
        let review = setup.say("review --json").json();
        let rows = review[groups].as_array().expect("rows").clone();
        let row = rows.into_iter().find(|row| row["address"] == "2001:db8:aaaa:1::/64");
        row.map(|row| (row["ports"].clone(), row["reason"].as_str().unwrap_or_default().to_owned()))
    };
    lab.nmap(mistaken, "-sS -p 79 --max-retries 2");
    daemon.wait_until("the network is a candidate", || {
        ports("candidates").is_some_and(|(ports, reason)| {
            ports == serde_json::json!(["79/TCP"]) && reason.starts_with("has a connection with a service")
        })
    });
    drop((client, accepted));
    daemon.wait_until("it is none any more", || ports("candidates").is_none());
}
