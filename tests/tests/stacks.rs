//! Stacks of devices and translations as gateways have them: on each, an honest client is served throughout, a scanner is
//! held, and nothing outlives `portsentry down`. Those that are ignored need modules that `cargo xtask vm --flavour amd64`
//! has.

mod layers;
mod routers;

use std::{
    env,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use portsentry_common::classify::Protocol::{self, Tcp, Udp};
use portsentry_tests::lab::{Daemon, Lab, Namespace, Portsentry, Probe, Reach, Service, Talk, wait_within};

/// An unwatched port, and a trap.
const SERVICE: u16 = 8080;
const TRAP: u16 = 11;
const BOTH: [Protocol; 2] = [Tcp, Udp];

/// What the two ends of a pair of cables, `c0` and `c1`, build on them.
struct Stack {
    /// Scripts that make the interface `top` at the host and at the clients.
    ends: [&'static str; 2],
    /// The interfaces of the host that are watched, besides the lab's.
    watched: &'static [&'static str],
}

/// Ways to a service of the host, or behind it.
struct Way<'a> {
    /// Where the clients are, and where the service is.
    clients: &'a Namespace,
    server: &'a Namespace,
    /// The address that the clients use, and the one at which a long connection arrives.
    at: IpAddr,
    behind: IpAddr,
    /// An address of the host whose traps the scanner finds.
    traps: IpAddr,
    client: IpAddr,
    scanner: IpAddr,
    /// The protocols of the service.
    protocols: &'static [Protocol],
}

const fn end(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, last))
}

/// Returns how long the client's ordinary use lasts: `STACK_SECONDS`, or some seconds.
fn use_time() -> Duration {
    Duration::from_secs(env::var("STACK_SECONDS").map_or(2, |text| text.parse().expect("a number")))
}

fn watching(lab: &Lab) -> Portsentry<'_> {
    lab.portsentry("-stcp -sudp").with("INTERFACES", "ALL_NLO").with("BLOCK_UNPROVEN", "1")
}

/// Builds a stack, and checks what holds on each.
fn assert_held_on(stack: &Stack) {
    let lab = Lab::new();
    build(&lab, stack);
    let daemon = watching(&lab).start();
    for interface in stack.watched {
        let has_program = || lab.host.run("ip", &["link", "show", interface]).contains("xdp");
        daemon.wait_until(&format!("{interface} is watched"), has_program);
    }
    assert_held(daemon, &between_ends(&lab));
}

/// Returns the way between the two ends of a stack.
fn between_ends(lab: &Lab) -> Way<'_> {
    let (clients, server, at) = (&lab.scanner, &lab.host, end(1));
    // The host's address may belong to a VRF.
    let behind = Ipv4Addr::UNSPECIFIED.into();
    Way { clients, server, at, behind, traps: at, client: end(2), scanner: end(3), protocols: &BOTH }
}

fn build(lab: &Lab, stack: &Stack) {
    for cable in ["c0", "c1"] {
        lab.host.ip(&format!(
            "link add {cable} type veth peer name {cable} netns {}\nlink set {cable} up",
            lab.scanner.name()
        ));
        lab.scanner.ip(&format!("link set {cable} up"));
    }
    let search = env::var_os("PATH").unwrap_or_default();
    let ip = env::split_paths(&search).map(|it| it.join("ip")).find(|it| it.is_file()).expect("`ip`");
    for (namespace, script, addresses) in
        [(&lab.host, stack.ends[0], &[1][..]), (&lab.scanner, stack.ends[1], &[2, 3])]
    {
        // BusyBox's shell has an `ip` of its own.
        namespace.run("sh", &["-euc", &format!("ip() {{ {} \"$@\"; }}\n{script}", ip.display())]);
        for last in addresses {
            namespace.ip(&format!("address add {}/24 dev top", end(*last)));
        }
        namespace.ip("link set top up");
    }
}

/// The client is served before, during and after a scan; the scanner is blocked until `portsentry down`.
fn assert_held(daemon: Daemon<'_>, way: &Way<'_>) {
    let services: Vec<_> =
        way.protocols.iter().map(|protocol| Service::start(way.server, *protocol, SERVICE)).collect();
    let reaches =
        |source, reach| services.iter().all(|service| service.answers_at(way.clients, source, way.at, reach));
    daemon.wait_until("the client is served", || reaches(way.client, Reach::AtOnce));
    let [behind, at] = [way.behind, way.at].map(|address| SocketAddr::new(address, SERVICE + 1));
    let talk = Talk::between(way.server, behind, way.clients, (way.client, at));
    let (begin, time) = (Instant::now(), use_time());
    let mut uses = 0;
    let mut use_it = |until: Duration| {
        loop {
            assert!(
                reaches(way.client, Reach::Expected),
                "the client isn't served: {}",
                daemon.log().lines().join("\n")
            );
            talk.go_on();
            uses += 1;
            if begin.elapsed() >= until {
                return;
            }
        }
    };
    use_it(time / 3);
    let probe = |port| Probe::tcp(way.clients, way.scanner, SocketAddr::new(way.traps, port));
    let scan: Vec<_> = [1, TRAP, 15, 79].map(probe).into();
    use_it(time * 2 / 3);
    daemon.wait_until("the scanner is blocked", || daemon.blocked().contains(&way.scanner));
    let before = daemon.counter("dropped");
    daemon.wait_until("what it sends is dropped", || {
        let _probe = probe(TRAP);
        daemon.counter("dropped") > before
    });
    drop(scan);
    assert!(!reaches(way.scanner, Reach::Unexpected), "the scanner is served");
    use_it(time);
    println!("{uses} uses");
    assert_eq!((daemon.blocked(), daemon.fenced()), (vec![way.scanner], Vec::new()));
    assert_eq!(daemon.told_of(way.client), [""; 0]);
    let errors: Vec<_> = daemon.log().lines().into_iter().filter(|line| line.contains("ERROR")).collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert_ends(daemon);
    assert!(reaches(way.scanner, Reach::Expected), "the scanner's address stays blocked");
    assert!(reaches(way.client, Reach::Expected));
    talk.go_on();
}

/// Nothing outlives `portsentry down`: no program at any interface of the host, no pin, and no queueing discipline.
fn assert_ends(daemon: Daemon<'_>) {
    let (setup, lab, pins) = (daemon.setup().clone(), daemon.lab(), daemon.pins());
    daemon.terminate();
    assert_eq!(setup.say("down").code, 0);
    assert!(!pins.exists(), "{} is left", pins.display());
    let shown = || -> serde_json::Value {
        serde_json::from_str(&lab.host.run("bpftool", &["--json", "net", "show"])).expect("JSON")
    };
    let programs = || ["xdp", "tc"].map(|kind| shown()[0][kind].as_array().map_or(0, Vec::len));
    // The kernel detaches a program a moment after its link's last pin is gone.
    let complaint = || format!("{} is left", shown());
    wait_within(Duration::from_secs(10), complaint, || programs() == [0, 0]);
    let disciplines = lab.host.run("tc", &["qdisc", "show"]);
    assert!(!disciplines.contains("clsact"), "{disciplines}");
}
