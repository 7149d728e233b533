//! The gate before the blocked maps, while everybody who writes it does so at once. It may err towards a look-up, never
//! towards letting a blocked source through.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    ops::Range,
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use bytemuck::Zeroable;
use nix::sys::signal::Signal;
use portsentry::kernel::Observer;
use portsentry_common::{block::Block, judge::Action};
use portsentry_tests::{
    kernel::InKernel,
    lab::{self, FAMILIES, Family, Lab, Wire},
    outcome::Judge,
    scenario::Scenario,
};

const SERVICE: u16 = 8080;
const RELOADS: usize = 6;
const REWRITES: usize = 12;

/// Members of the scanner's networks, which have one bit of the gate in common, by number.
fn members(numbers: Range<u16>) -> impl Iterator<Item = (Family, IpAddr)> + Clone {
    numbers.flat_map(|number| FAMILIES.map(|family| (family, family.member(number))))
}

/// A SYN of `source`, which a service answers.
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
    // Either generation.
    for _ in 0..2 {
        judge.kernel().renew_gates().unwrap();
        let left = judge.kernel().gate_bits();
        assert!(left <= bits + usize::from(NETWORKS), "{left} bits after {bits}");
        for source in (0..NETWORKS / 2).flat_map(source) {
            let [v4, v6] = FAMILIES;
            let family = if source.is_ipv4() { v4 } else { v6 };
            assert_eq!(judge.judge(&syn(family, source, SERVICE)).action, Action::Drop, "{source}");
        }
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
    // As many networks of 24 bits, each with a bit of its own.
    let block = |numbers: Range<u32>| {
        let count = numbers.len();
        let hosts = numbers.map(|number| Ipv4Addr::from_bits(0x1000_0001 + (number << 8)).into());
        write_list(&list, hosts.map(|host| (Family::V4, host)));
        daemon.log().wait_for(&format!("{count} hosts and 0 networks are blocked by it"));
    };
    block(0..100_000);
    assert!(kernel.gate_bits().unwrap() >= 100_000);
    block(100_000..400_000);
    let is_renewed = || (300_000..310_000).contains(&kernel.gate_bits().unwrap());
    daemon.wait_until("the bits of the hundred thousand are gone", is_renewed);
}

#[test]
fn nobody_who_is_blocked_passes_while_blocks_come_and_go() {
    let lab = Lab::new();
    let _service = lab.serve_tcp(SERVICE);
    let victims = members(20..52);
    let list = lab.files().join("portsentry.blocklist");
    write_list(&list, victims.clone());
    let setup =
        lab.portsentry("-stcp").with("BLOCK_LIST", &list.display().to_string()).with("BLOCK_TIME", "1");
    let daemon = setup.start();
    let wire = Wire::open(&lab.scanner);
    let ears = FAMILIES.map(|family| Wire::ear(&lab.scanner, family));
    let honest = FAMILIES.map(|family| (family, lab.source(family)));
    let goes_on = AtomicBool::new(true);
    let sent = thread::scope(|scope| {
        // The kernel blocks these, and lets them go a second later, when the daemon takes them out of the map.
        scope.spawn(|| {
            let wire = Wire::open(&lab.scanner);
            let probes: Vec<_> = members(60..99).map(|(family, source)| syn(family, source, 11)).collect();
            while goes_on.load(Relaxed) {
                probes.iter().for_each(|probe| wire.send_frame(probe));
            }
        });
        // The list gains and loses others.
        let rewriting = scope.spawn(|| {
            for round in 0..REWRITES {
                let is_longer = round % 2 == 0;
                write_list(&list, victims.clone().chain(members(110..if is_longer { 150 } else { 110 })));
                let others = || daemon.blocked().contains(&Family::V6.member(149));
                daemon.wait_until("the kernel follows", || others() == is_longer);
            }
        });
        // A reload clears and fills one generation of the gate, and has the next program read it.
        let reloading = scope.spawn(|| {
            for round in 1..=RELOADS {
                daemon.signal(Signal::SIGHUP);
                let done = || daemon.log().count("The configuration was read again and is in effect");
                daemon.wait_until("it is in effect", || done() >= round);
            }
        });
        let packets: Vec<_> = victims.clone().map(|(family, source)| syn(family, source, SERVICE)).collect();
        let mut sent = 0;
        while !(rewriting.is_finished() && reloading.is_finished()) {
            packets.iter().for_each(|packet| wire.send_frame(packet));
            sent += packets.len();
        }
        goes_on.store(false, Relaxed);
        sent
    });
    assert!(sent > 1000, "{sent} packets say little");
    for (ear, (family, honest)) in ears.iter().zip(honest) {
        // A frame may still be lost in what the others left on the wire.
        let first = (0..50).find_map(|_| {
            wire.send_frame(&syn(family, honest, SERVICE));
            ear.hear(|segment| segment.source.port() == SERVICE)
        });
        let first = first.expect("an answer");
        assert_eq!(first.destination.ip(), honest, "of {sent} packets, this is the first that was answered");
    }
    assert!(daemon.counter("blocked") > 78, "blocks end and are made again");
    daemon.log().wait_for("is no longer blocked: its time is over");
}
