//! What scanners learn behind a gateway: the table of docs/gateway.md.

use std::{
    net::{IpAddr, SocketAddrV4},
    sync::Arc,
    thread,
    time::Duration,
};

use portsentry_common::classify::Protocol::Tcp;
use portsentry_tests::{
    lab::{Family, Lab},
    traffic::{Change, Meter, NETWORK, Network, Responder},
};

const SEED: u64 = 22;
/// Services among the thousand ports of a scan.
const SERVICES: u64 = 6;
/// Round trip of the link behind the gateway.
const DELAY: Duration = Duration::from_millis(2);

const NMAP: &str = "nmap -n -Pn -sS --max-retries 0 --initial-rtt-timeout 500ms --min-rate 5000 --max-rate 5000 \
     -p 1-1000 -e eth0 -S SOURCE HOST";
const MASSCAN: &str = "masscan --interface eth0 --source-ip SOURCE --router-mac 02:00:00:00:00:01 --wait 1 \
     --rate 20000 -p 1-1000 HOST";

/// A scan's result.
#[derive(Debug)]
struct Learnt {
    frames_back: u64,
    services: u64,
    let_in: u64,
}

fn scan(lab: &Lab, host: IpAddr, words: &str) -> Learnt {
    let source = lab.source(Family::V4);
    let name = source.to_string().replace('.', "_");
    let from = format!("ip saddr {host} ip daddr {source}");
    let all = Meter::new(&lab.scanner, &format!("all_{name}"), &from);
    let accepts = format!("{from} tcp flags & (syn | ack) == syn | ack");
    let accepts = Meter::new(&lab.scanner, &format!("accepts_{name}"), &accepts);
    let inside =
        Meter::new(&lab.bystander, &format!("in_{name}"), &format!("ip saddr {source} tcp flags == syn"));
    let words = words.replace("SOURCE", &source.to_string()).replace("HOST", &host.to_string());
    let words: Vec<&str> = words.split_whitespace().collect();
    lab.scanner.run(words[0], &words[1..]);
    Learnt { frames_back: all.packets(), services: accepts.packets(), let_in: inside.packets() }
}

/// Scans a host with six services in front of a daemon with `ANSWERS`, by two scanners each.
fn results(answers: &str) -> Vec<Learnt> {
    let lab = Lab::new();
    let (_, router) = lab.plug_in_second(&lab.bystander);
    lab.host.run("sysctl", &["-qw", "net.ipv4.ip_forward=1"]);
    lab.host.ip(&format!("route add {NETWORK} via {router}\n"));
    lab.scanner.ip(&format!("route add {NETWORK} via 192.0.2.1\n"));
    let network = Arc::new(Network::new(SEED));
    let hosts = [0, 1].map(|number| {
        let host = network.serving(Tcp, 21)[number];
        for port in [80, 110, 143, 443] {
            network.change(Change::Start((Tcp, SocketAddrV4::new(host, port))));
        }
        host
    });
    let _responder = Responder::start(&network, &lab.bystander, "eth1", DELAY);
    let portsentry = lab.portsentry("-stcp").with("INTERFACES", "eth0").with("BLOCK_UNPROVEN", "0");
    let portsentry = portsentry.with("TCP_PORTS", "").with("UDP_PORTS", "").with("ANSWERS", answers);
    let _daemon = portsentry.with("PROTECTED_NETWORKS", NETWORK).start();
    let scans = [(hosts[0], NMAP), (hosts[0], NMAP), (hosts[1], MASSCAN), (hosts[1], MASSCAN)];
    scans.iter().map(|(host, words)| scan(&lab, (*host).into(), words)).collect()
}

#[test]
fn what_scanners_learn_behind_a_gateway() {
    let settings = ["off", "observe", "enforce"];
    let all: Vec<_> = thread::scope(|scope| {
        let running = settings.map(|answers| scope.spawn(move || results(answers)));
        running.into_iter().map(|thread| thread.join().expect("results")).collect()
    });
    println!("| `ANSWERS` | scanner | frames back | services learned | SYNs let in |\n|---|---|---|---|---|");
    for (answers, results) in settings.iter().zip(&all) {
        for (scanner, result) in ["nmap", "nmap, second", "masscan", "masscan, second"].iter().zip(results) {
            let Learnt { frames_back, services, let_in } = result;
            println!("| `{answers}` | {scanner} | {frames_back} | {services} | {let_in} |");
        }
    }
    for result in all[..2].iter().flatten() {
        assert_eq!(result.services, SERVICES, "nothing is withheld: {result:?}");
    }
    // How many SYNs get in depends on how busy the machine is.
    for result in &all[2] {
        assert!(result.frames_back - result.services < 8, "answers under way are withheld, too: {result:?}");
    }
}
