//! The gate before the blocked maps, under concurrent writers. An error may cause only an extra look-up, and must
//! never let a blocked source through.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    ops::Range,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU16, Ordering::Relaxed},
    thread,
};

use bytemuck::Zeroable;
use nix::sys::signal::Signal;
use portsentry::kernel::Observer;
use portsentry_common::{block::Block, judge::Action};
use portsentry_tests::{
    kernel::InKernel,
    lab::{self, FAMILIES, Family, INTERFACE, Lab, Wire, hardware_address},
    outcome::Judge,
    scenario::Scenario,
};

const SERVICE: u16 = 8080;
/// An unwatched port, so that packets from unblocked sources pass.
const UNWATCHED: u16 = 8081;
const RELOADS: usize = 2;
const REWRITES: usize = 4;
/// Number of strangers per family that the kernel blocks at a time.
const CHURN: u16 = 10;
/// Most strangers per family in all. The daemon logs each of them, and must not fall behind.
const CHURN_IN_ALL: u16 = 1000;

/// Returns stranger `number`, with its own bit of the gate: in its own /24 or /48.
fn stranger(family: Family, number: u16) -> IpAddr {
    match family {
        Family::V4 => {
            let [high, low] = number.to_be_bytes();
            [10, high, low, 7].into()
        }
        Family::V6 => [0x2001, 0xdb8, number + 1, 0, 0, 0, 0, 7].into(),
    }
}

/// Returns the strangers of both families with these numbers.
fn strangers(numbers: Range<u16>) -> impl Iterator<Item = (Family, IpAddr)> + Clone {
    numbers.flat_map(|number| FAMILIES.map(|family| (family, stranger(family, number))))
}

/// Routes the host's answers to strangers through the scanner, without neighbour discovery.
fn send_answers_to_scanner(lab: &Lab) {
    for (family, networks) in FAMILIES.into_iter().zip(["10.0.0.0/8", "2001:db8::/32"]) {
        let scanner = family.member(2);
        lab.host.ip(&format!(
            "neighbour replace {scanner} lladdr {} dev {INTERFACE} nud permanent\n\
             route add {networks} via {scanner}",
            hardware_address(2)
        ));
    }
}

/// Returns a SYN of `source` that a service answers.
fn syn(family: Family, source: IpAddr, port: u16) -> Vec<u8> {
    lab::syn((source, 40_000).into(), (family.host(), port).into())
}

fn write_list(path: &Path, sources: impl Iterator<Item = (Family, IpAddr)>) {
    let lines: Vec<_> = sources.map(|(_, source)| format!("{source}\n")).collect();
    let new = path.with_extension("new");
    fs::write(&new, lines.concat()).expect("a list");
    fs::rename(new, path).expect("the list is replaced");
}

#[test]
fn renewed_gates_keep_the_bits_of_whom_they_stand_before() {
    const NETWORKS: u8 = 200;
    let source = |number: u8| {
        [IpAddr::from([198, 18, number, 7]), IpAddr::from([0x2001, 0xdb8, number.into(), 0, 0, 0, 0, 7])]
    };
    let mut judge = InKernel::new(&Scenario::default());
    let bits = judge.kernel().gate_bits();
    for source in (0..NETWORKS).flat_map(source) {
        judge.kernel().blocked.insert(source, &Block::zeroed()).unwrap();
    }
    for source in (NETWORKS / 2..NETWORKS).flat_map(source) {
        judge.kernel().blocked.remove(source).unwrap();
    }
    let crowded = judge.kernel().gate_bits();
    assert!(crowded > bits + usize::from(NETWORKS), "{crowded} bits after {bits}: who has gone leaves his");
    // The second time with a renewed gate.
    for _ in 0..2 {
        judge.kernel().renew_gates().unwrap();
        let left = judge.kernel().gate_bits();
        assert!(left <= bits + usize::from(NETWORKS), "{left} bits after {bits}");
        for source in (0..NETWORKS / 2).flat_map(source) {
            let [v4, v6] = FAMILIES;
            let family = if source.is_ipv4() { v4 } else { v6 };
            assert_eq!(judge.judge(&syn(family, source, UNWATCHED)).action, Action::Drop, "{source}");
        }
    }
}

#[test]
fn a_blocked_network_sets_its_own_bits_and_no_others() {
    let bits = InKernel::new(&Scenario::default()).kernel().gate_bits();
    let blocking = |network: &str| {
        let networks = vec![(network.parse().unwrap(), Block::zeroed())];
        InKernel::new(&Scenario { networks, ..Scenario::default() })
    };
    for (network, expected) in [
        ("198.18.16.0/20", 16),
        ("198.18.16.0/24", 1),
        ("198.18.16.128/25", 1),
        ("198.18.16.7/32", 1),
        ("2001:db8:10::/46", 4),
        ("2001:db8:10::/48", 1),
        ("2001:db8:10:8000::/49", 1),
        ("2001:db8:10::7/128", 1),
    ] {
        assert_eq!(blocking(network).kernel().gate_bits() - bits, expected, "{network}");
    }
    let mut judge = blocking("198.18.16.0/20");
    for (source, expected) in [
        ([198, 18, 15, 255], Action::Pass),
        ([198, 18, 16, 0], Action::Drop),
        ([198, 18, 23, 7], Action::Drop),
        ([198, 18, 31, 255], Action::Drop),
        ([198, 18, 32, 0], Action::Pass),
    ] {
        let frame = syn(Family::V4, source.into(), SERVICE);
        assert_eq!(judge.judge(&frame).action, expected, "{source:?}");
    }
}

#[test]
fn gates_are_renewed_when_many_bits_are_stale() {
    let lab = Lab::new();
    let list = lab.files().join("portsentry.blocklist");
    fs::write(&list, "").expect("a list");
    let setup = lab.portsentry("-stcp").with("MAX_BLOCKED", "400000");
    let daemon = setup.with("BLOCK_LIST", &list.display().to_string()).start();
    let kernel = Observer::open(&daemon.pins()).unwrap().expect("pins");
    // One source in each of that many /24 networks, each with its own bit.
    let block = |numbers: Range<u32>| {
        let count = numbers.len();
        let hosts = numbers.map(|number| Ipv4Addr::from_bits(0x1000_0001 + (number << 8)).into());
        write_list(&list, hosts.map(|host| (Family::V4, host)));
        daemon.log().wait_for(&format!("it blocks {count} hosts and 0 networks"));
    };
    block(0..100_000);
    assert!(kernel.gate_bits().unwrap() >= 100_000);
    block(100_000..400_000);
    let is_renewed = || (300_000..310_000).contains(&kernel.gate_bits().unwrap());
    daemon.wait_until("the bits of the hundred thousand are gone", is_renewed);
}

#[test]
fn nobody_whom_the_kernel_blocks_passes_while_gates_are_renewed() {
    const SOURCES: u16 = 5000;
    /// Larger than the numbers of the scenario's sources.
    const FIRST: u16 = 5000;
    let scenario = Scenario { max_blocked: 2 * u32::from(SOURCES), ..Scenario::default() };
    let judge = InKernel::new(&scenario);
    let kernel = judge.look();
    let goes_on = AtomicBool::new(true);
    let renewals = AtomicU16::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            while goes_on.load(Relaxed) {
                kernel.renew_gates().unwrap();
                renewals.fetch_add(1, Relaxed);
            }
        });
        let sources: Vec<_> = strangers(FIRST..FIRST + SOURCES).map(|(_, source)| source).collect();
        let is_dropped = |source: IpAddr, port| {
            let own = if source.is_ipv4() { "198.51.100.1" } else { "2001:db8::1" };
            let own: IpAddr = own.parse().unwrap();
            let frame = lab::syn((source, 40_000).into(), (own, port).into());
            kernel.try_frame(&frame, 1).unwrap().action == Action::Drop
        };
        let passed = sources.iter().enumerate().find(|(number, source)| {
            // Spread over several renewals.
            while usize::from(renewals.load(Relaxed)) < number / (sources.len() / 20) {
                thread::yield_now();
            }
            // Includes long-blocked sources.
            let again = [*number, *number, number / 2, number / 3, 0].map(|earlier| sources[earlier]);
            !(is_dropped(**source, 11) && again.into_iter().all(|source| is_dropped(source, UNWATCHED)))
        });
        goes_on.store(false, Relaxed);
        assert_eq!(passed, None, "after {renewals:?} renewals");
    });
}

#[test]
fn nobody_who_is_blocked_passes_while_blocks_come_and_go() {
    let lab = Lab::new();
    send_answers_to_scanner(&lab);
    let _service = lab.serve_tcp(SERVICE);
    let victims = strangers(0..32);
    let list = lab.files().join("portsentry.blocklist");
    write_list(&list, victims.clone());
    let setup =
        lab.portsentry("-stcp").with("BLOCK_LIST", &list.display().to_string()).with("BLOCK_TIME", "1");
    let daemon = setup.start();
    let wire = Wire::open(&lab.scanner);
    let ears = FAMILIES.map(|family| Wire::ear(&lab.scanner, family));
    let honest = strangers(u16::MAX - 1..u16::MAX);
    // The unblocked source gets through, and no blocked one does so before it.
    let hear_honest = |sent: u64| {
        for (ear, (family, honest)) in ears.iter().zip(honest.clone()) {
            wire.send_frame(&syn(family, honest, SERVICE));
            let first = ear.expect("an answer", |segment| segment.source.port() == SERVICE);
            assert_eq!(
                first.destination.ip(),
                honest,
                "of {sent} packets, this is the first that was answered"
            );
        }
    };
    hear_honest(0);
    let dropped = || daemon.counter("dropped");
    let (sent, churned) = thread::scope(|scope| {
        // Other entries of the list come and go.
        let rewriting = scope.spawn(|| {
            for round in 0..REWRITES {
                let is_longer = round % 2 == 0;
                write_list(&list, victims.clone().chain(strangers(40..if is_longer { 80 } else { 40 })));
                let others = || daemon.blocked().contains(&stranger(Family::V6, 79));
                daemon.wait_until("the kernel follows", || others() == is_longer);
            }
        });
        // After a reload the next program starts with its own gates.
        let reloading = scope.spawn(|| {
            for round in 1..=RELOADS {
                daemon.signal(Signal::SIGHUP);
                let done = || daemon.log().count("Configuration reloaded");
                daemon.wait_until("it is in effect", || done() >= round);
            }
        });
        let packets: Vec<_> = victims.clone().map(|(family, source)| syn(family, source, SERVICE)).collect();
        let (mut sent, mut churned, mut rounds) = (0, 0, 0);
        while !(rewriting.is_finished() && reloading.is_finished()) {
            packets.iter().for_each(|packet| wire.send_frame(packet));
            // The kernel blocks these sources. Their blocks expire a second later, when the daemon removes them
            // from the map.
            let new = if rounds % 4 == 0 && churned < CHURN_IN_ALL { CHURN } else { 0 };
            for (family, source) in strangers(100 + churned..100 + churned + new) {
                wire.send_frame(&syn(family, source, 11));
                wire.send_frame(&syn(family, source, SERVICE));
            }
            rounds += 1;
            churned += new;
            sent += packets.len() as u64 + 2 * u64::from(new);
            // At most as many as the wire holds. A packet that isn't dropped was answered, or got lost.
            daemon.wait_until("all that the blocked have sent is dropped", || dropped() >= sent);
        }
        (sent, churned)
    });
    assert!(sent > 1000, "{sent} packets say little");
    hear_honest(sent);
    assert_eq!(dropped(), sent, "no other packet is dropped");
    assert_eq!(daemon.counter("blocked"), 2 * u64::from(churned), "each of them was blocked by the kernel");
    daemon.log().wait_for("is no longer blocked: its time is over");
}
