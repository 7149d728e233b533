//! A /22 behind a gateway: 200 services on 60 hosts, thousands of honest clients, and scanners. The daemon has no list
//! of ports, and learns from answers.
//!
//! `BEHIND` is the duration in seconds; by default some hundred clients come once.

use std::{
    collections::BTreeSet,
    env,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;
use portsentry_common::classify::Protocol::Tcp;
use portsentry_tests::{
    lab::{Daemon, Family, Lab, Wire},
    traffic::{Meter, NETWORK, Network, ON_LINK, Population, Report, Responder, run},
};

const SEED: u64 = 22;
/// Number of clients of a short run, and of clients that return in a long one.
const CLIENTS: usize = 600;
const SOURCES: u32 = 10_000;
/// A scanner is fenced within this number of failed contacts.
const FAILED: u64 = 8;
/// Ethernet addresses of the gateway and of the clients.
const LINK: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];

/// Makes the host a gateway to the network, all of whose hosts the bystander's thread plays.
fn make_gateway(lab: &Lab) {
    let (_, router) = lab.plug_in_second(&lab.bystander);
    lab.host.run("sysctl", &["-qw", "net.ipv4.ip_forward=1"]);
    lab.host.ip(&format!(
        "route add {NETWORK} via {router}\nroute add 100.64.0.0/10 via {}\n",
        Family::V4.member(2)
    ));
    lab.scanner.ip(&format!("route add {NETWORK} via 192.0.2.1\nroute add {ON_LINK} via 192.0.2.1\n"));
}

fn start(lab: &Lab) -> Daemon<'_> {
    let portsentry = lab.portsentry("-stcp -sudp").with("INTERFACES", "eth0").with("BLOCK_UNPROVEN", "0");
    let portsentry = portsentry.with("TCP_PORTS", "").with("UDP_PORTS", "").with("ANSWERS", "enforce");
    portsentry.with("PROTECTED_NETWORKS", &format!("{NETWORK},{ON_LINK}")).start()
}

/// Runs honest clients, one after the other or as long as `BEHIND` says.
fn visit(lab: &Lab, network: &Network, seconds: u64) -> Report {
    let begin = Instant::now();
    let clients = Population::new(network, SEED, SOURCES).enumerate();
    let clients = clients
        .take_while(|(number, _)| *number < CLIENTS || begin.elapsed() < Duration::from_secs(seconds))
        .map(|(_, client)| client);
    run(&Wire::of(&lab.scanner, "eth0"), LINK, network, clients)
}

/// A scanner's command. `HOST`, `NET` and `SOURCE` stand for a host, the network, and the scanner's address.
const SWEEPS: [&str; 10] = [
    "nmap -n -Pn -sS --max-retries 0 --max-rtt-timeout 300ms --min-rate 1000 -p 1000-1999 -e eth0 -S SOURCE HOST",
    "nmap -n -Pn -sU --max-retries 0 --max-rtt-timeout 300ms --min-rate 1000 -p 200-399 -e eth0 -S SOURCE HOST",
    "nmap -n -Pn -sS --max-retries 0 --max-rtt-timeout 300ms --min-rate 1000 -p 23 -e eth0 -S SOURCE NET",
    "masscan --interface eth0 --source-ip SOURCE --router-mac 02:00:00:00:00:01 --wait 1 --rate 20000 -p 1-2000 HOST",
    "masscan --interface eth0 --source-ip SOURCE --router-mac 02:00:00:00:00:01 --wait 1 --rate 2000 -p 3389 NET",
    "masscan --interface eth0 --source-ip SOURCE --router-mac 02:00:00:00:00:01 --wait 1 --rate 2000 -pU:1-400 HOST",
    "zmap -q -i eth0 -S SOURCE -G 02:00:00:00:00:01 -b /dev/null -r 2000 -c 1 -o - -p 5900 NET",
    "zmap -q -i eth0 -S SOURCE -G 02:00:00:00:00:01 -b /dev/null -r 500 -c 1 -o - -p 80 NET",
    "masscan --interface eth0 --source-ip SOURCE --router-mac 02:00:00:00:00:01 --wait 1 --rate 500 -p 443 NET",
    "zmap -q -i eth0 -S SOURCE -G 02:00:00:00:00:01 -b /dev/null -r 2000 -c 1 -o - -M udp --probe-args=text:x -p 161 NET",
];

/// The frames that have reached a scanner.
struct Seen<'a>([Meter<'a>; 2]);

impl<'a> Seen<'a> {
    fn by(lab: &'a Lab, source: IpAddr, number: usize) -> Self {
        let to = format!("ip daddr {source} ip saddr {NETWORK}");
        let all = Meter::new(&lab.scanner, &format!("all{number}"), &to);
        let refused = format!("{to} tcp flags & (rst | ack) == rst | ack");
        let refused = Meter::new(&lab.scanner, &format!("refused{number}"), &refused);
        Self([all, refused.and(&format!("{to} icmp type destination-unreachable icmp code 3"))])
    }

    fn all(&self) -> u64 {
        self.0[0].packets()
    }

    fn refused(&self) -> u64 {
        self.0[1].packets()
    }
}

/// Runs a sweep. The scanner must be fenced, and learn nothing more after that.
fn sweep(daemon: &Daemon<'_>, network: &Network, number: usize, words: &str) {
    let lab = daemon.lab();
    let source = lab.source(Family::V4);
    let seen = Seen::by(lab, source, number);
    let mut random = Rng::with_seed(SEED + u64::try_from(number).expect("a number"));
    let host = random.choice(network.serving(Tcp, 443)).expect("a host");
    let scan = |words: &str, host: Ipv4Addr| {
        let of = |word: &str| match word {
            "SOURCE" => source.to_string(),
            "HOST" => host.to_string(),
            "NET" => NETWORK.into(),
            word => word.into(),
        };
        let words: Vec<String> = words.split(' ').map(of).collect();
        let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        lab.scanner.run(&words[0], &arguments)
    };
    // On a busy machine a short scan may be over before its first answer comes.
    let is_fenced = (0..5).any(|_| {
        scan(words, host);
        daemon.fenced().contains(&source)
    });
    assert!(is_fenced, "{words}");
    let refused = seen.refused();
    assert!(refused < FAILED, "{words}: {refused} refusals reached the scanner");
    let before = seen.all();
    let served =
        "nmap -n -Pn -sS --max-retries 0 --max-rtt-timeout 100ms -p 80,443,1000-1010 -e eth0 -S SOURCE HOST";
    scan(served, host);
    assert_eq!(seen.all(), before, "{words}: no answer reaches a fenced scanner");
}

#[test]
fn honest_clients_of_a_network_are_served_and_sweeps_are_fenced() {
    let seconds = env::var("BEHIND").map_or(0, |text| text.parse().expect("BEHIND is a number of seconds"));
    let lab = Lab::new();
    make_gateway(&lab);
    let network = Arc::new(Network::new(SEED));
    let _responder = Responder::start(&network, &lab.bystander, "eth1", Duration::ZERO);
    let daemon = start(&lab);
    let report = thread::scope(|scope| {
        let visits = scope.spawn(|| visit(&lab, &network, seconds));
        let begin = Instant::now();
        // A lab has room for the scanners of ten rounds.
        for round in 0..10 {
            let (daemon, network) = (&daemon, &network);
            thread::scope(|scope| {
                for (number, words) in (round * SWEEPS.len()..).zip(SWEEPS) {
                    scope.spawn(move || sweep(daemon, network, number, words));
                }
            });
            if begin.elapsed().as_secs() >= seconds {
                break;
            }
            thread::sleep(Duration::from_secs(seconds / 10));
        }
        visits.join().expect("clients")
    });
    // Also those whose fence is over: scanners alone are in the log.
    let lines = daemon.log().lines();
    let named =
        lines.iter().flat_map(|line| line.split([' ', '/', ':'])).filter_map(|word| word.parse().ok());
    let fenced: BTreeSet<IpAddr> =
        daemon.fenced().into_iter().chain(named).filter(|it| is_client(*it)).collect();
    println!(
        "{} clients, {} contacts, {} repeated; fenced: {fenced:?}",
        report.clients, report.contacts, report.repeated
    );
    assert!(fenced.is_empty(), "honest clients are fenced: {fenced:?}");
    let unserved = &report.unserved[..report.unserved.len().min(10)];
    assert!(unserved.is_empty(), "{} unserved: {unserved:?}", report.unserved.len());
    assert_eq!(daemon.blocked(), [] as [IpAddr; 0]);
    let learned = daemon.counter("learned_served");
    assert!(learned > 150, "{learned} services learned");
}

/// Whether the address is an honest client's.
fn is_client(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 100)
}
