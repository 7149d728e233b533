//! A sample of the harness's traffic (`cargo xtask detection`): the kernel program has the same verdicts on it as the pure
//! rules that the harness measures.
//!
//! All addresses are the host's own, so that a dark one refuses instead of being silent, and the answer of none is awaited.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use fastrand::Rng;
use ipnet::IpNet;
use portsentry_common::{
    address::Ipv4,
    classify::Protocol,
    decide,
    environment::Locality,
    scan::{
        Contact, Outcome, Pair, Shape, Verdict,
        contacts::{Fate, Judged},
        memory::{ENTRANTS, Name, Probation, SUSPECTS, Sets, note},
        suspect::Suspect,
    },
    settings::{ScanDetection, Settings},
};
use portsentry_detection::{event::Event, honest, network::Network, scanners};
use portsentry_tests::{
    frames::{Layer, SYN, ordinary_syn, tcp},
    kernel::InKernel,
    namespace::with_sockets,
    outcome::Judge,
    scenario::Scenario,
    test_host,
};

const KEY: u64 = 7;
/// Enough for all sources.
const SETS: u32 = 1 << 12;
/// The clocks advance by so many seconds at once: each time a program is loaded.
const STEP: u32 = 3 * 3600;
/// Scanners of each class, and honest sources.
const SCANNERS: u64 = 3;
const HONEST: u64 = 1000;
/// One honest source in so many is judged.
const EVERY: usize = 25;

/// The network of the generated traffic.
const NETWORK: &str = "198.18.0.0/22";

/// Returns a day of traffic whose outcomes depend on the destination alone.
fn traffic() -> (Network, Vec<Event>) {
    let mut rng = Rng::with_seed(24);
    let network = Network::new(&mut rng);
    let mut events = Vec::new();
    for (class, number) in scanners::CLASSES.iter().zip(0..) {
        for it in 0..SCANNERS {
            class.scan(&network, &mut rng, HONEST + number * SCANNERS + it, &mut events);
        }
    }
    for source in (0..HONEST).step_by(EVERY) {
        honest::CLASSES[honest::class_of(source)].0.live(&network, &mut rng, source, &mut events);
    }
    events.retain(|event| event.outcome == network.outcome(event.pair));
    events.sort_by_key(|event| event.at);
    (network, events)
}

fn scenario(network: &Network) -> Scenario {
    let mut scenario = Scenario::with(|settings| {
        *settings = Settings {
            trigger: u32::MAX,
            scans: ScanDetection::Report as u8,
            scan_key: KEY,
            scan_mask: SETS - 1,
            remembers: 0,
            ..*settings
        };
    });
    let services = network
        .services
        .iter()
        .map(|(host, port)| (Protocol::Tcp, SocketAddr::new(Ipv4Addr::from_bits(*host).into(), *port), None));
    scenario.table.served = services.collect();
    scenario.sockets.clear();
    scenario
}

fn address(source: u64) -> Ipv4Addr {
    const FIRST: u32 = Ipv4Addr::new(11, 0, 0, 1).to_bits();
    Ipv4Addr::from_bits(FIRST + u32::try_from(source).expect("few sources"))
}

/// Returns the SYN of an event.
fn frame(event: &Event) -> Vec<u8> {
    /// Offset of a TCP header's window.
    const WINDOW: usize = 14;
    let to = SocketAddr::new(Ipv4Addr::from_bits(event.pair.0).into(), event.pair.1);
    let syn = match event.shape {
        Shape::Ordinary => ordinary_syn(),
        Shape::Bare => tcp(SYN).with(Layer::Transport, WINDOW, &[0xff, 0xff]),
        // The window of these packets is a scanner's.
        Shape::Pattern => tcp(SYN),
    };
    syn.from(&format!("{}:40000", address(event.source))).to(&to.to_string()).frame(0)
}

/// The memory of the pure rules.
struct Rules {
    probation: Vec<Probation>,
    suspects: Vec<[Suspect; SUSPECTS]>,
}

impl Rules {
    fn new() -> Self {
        let sets = SETS as usize;
        Self { probation: vec![[0; ENTRANTS]; 2 * sets], suspects: vec![Default::default(); sets] }
    }

    fn judge(&mut self, event: &Event, now: u32) -> Judged {
        let (host, port) = event.pair;
        let contact = Contact {
            pair: Pair::new(Ipv4 { octets: host.to_be_bytes() }, port, KEY),
            // No own address is silent.
            outcome: if event.outcome == Outcome::Silent { Outcome::Refused } else { event.outcome },
            shape: event.shape,
            is_high: port > 1023,
            is_open: false,
        };
        let name = Name::new(event.source, KEY);
        let mut sets = Sets {
            suspects: &mut self.suspects[name.set(SETS - 1) as usize],
            probation: &mut self.probation[name.set(2 * SETS - 1) as usize],
        };
        note(&mut sets, name.tag(), &contact, now, false).judged
    }
}

/// Returns the number of failures with which the kernel program reports the source, if it does, and what became of the contact.
fn judge(kernel: &mut InKernel, event: &Event) -> (Option<u32>, Fate) {
    let outcome = kernel.judge(&frame(event));
    let mut reports = outcome.told.iter().filter(|told| told.verdict == decide::Verdict::Report);
    let fate = match ["failed_contacts", "scan_no_room"].map(|name| outcome.counted.contains_key(name)) {
        [true, _] => Fate::Counted,
        [_, true] => Fate::NoRoom,
        _ => Fate::Nothing,
    };
    (reports.next().map(|told| told.hits), fate)
}

fn own_network() -> BTreeMap<IpNet, u32> {
    let own = (NETWORK.parse().expect("a network"), Locality::Own);
    let local = test_host::local().into_iter().chain([own]);
    local.map(|(network, locality)| (network, locality as u32)).collect()
}

#[test]
fn the_kernel_program_has_the_verdicts_that_the_harness_measures() {
    let (network, events) = traffic();
    let scenario = scenario(&network);
    let (mut reported, mut failed) = (0, 0);
    with_sockets(&[], || {
        let (mut kernel, mut rules) = (InKernel::new(&scenario), Rules::new());
        for (step, events) in events.chunk_by(|one, other| one.at / STEP == other.at / STEP).enumerate() {
            if step > 0 {
                kernel.pass_time(Duration::from_secs(STEP.into()));
            }
            kernel.kernel().local.replace(&own_network()).expect("the network is the host's");
            let now = kernel.now();
            for event in events {
                let expected = rules.judge(event, now);
                let is_told = expected.verdict >= Verdict::Report;
                let hits = is_told.then(|| u32::from(expected.evidence.failed));
                assert_eq!(judge(&mut kernel, event), (hits, expected.fate), "{event:?}: {expected:?}");
                reported += u32::from(is_told);
                failed += u32::from(expected.fate == Fate::Counted);
            }
        }
    });
    println!("{} contacts, {failed} failed, {reported} reports", events.len());
    // Each scanner is reported, and reported again for what would fence it.
    let scanners =
        u32::try_from(scanners::CLASSES.len()).expect("few") * u32::try_from(SCANNERS).expect("few");
    assert!(reported >= 2 * scanners && failed > 10 * scanners, "{reported} reports, {failed} failures");
}
