//! Blocking latency: the host answers no packet after the first probe, even in the fastest possible scan.

use std::{collections::BTreeSet, iter};

use portsentry_tests::lab::{FAMILIES, Lab, Segment, Wire};

const SERVICES: [u16; 6] = [21, 22, 80, 443, 587, 993];

#[test]
fn a_scan_at_full_speed_is_answered_no_more_after_its_first_probe() {
    let lab = Lab::new();
    let _services = SERVICES.map(|port| lab.serve_tcp(port));
    for unproven in ["0", "1"] {
        let daemon = lab.portsentry("-atcp").with("BLOCK_UNPROVEN", unproven).start();
        for family in FAMILIES {
            let source = lab.source(family);
            // All frames that the scanner sends and receives, in order.
            let wire = Wire::open(&lab.scanner);
            let found = lab.nmap(source, "-sS -T5 --min-rate 5000 -p 1-1023 --send-ip");
            let is_of_scan =
                |segment: &Segment| [segment.source.ip(), segment.destination.ip()].contains(&source);
            let segments: Vec<_> = iter::from_fn(|| wire.hear(is_of_scan)).collect();
            let asked = segments.iter().filter(|segment| segment.source.ip() == source && segment.tcp.syn);
            let asked: Vec<u16> = asked.map(|segment| segment.destination.port()).collect();
            assert!(asked.len() > 1000, "{} ports were asked", asked.len());
            let before: BTreeSet<u16> =
                asked.iter().copied().take_while(|port| SERVICES.contains(port)).collect();
            let answers = segments
                .iter()
                .filter(|segment| segment.destination.ip() == source && segment.tcp.syn && segment.tcp.ack);
            let answered: BTreeSet<u16> = answers.map(|segment| segment.source.port()).collect();
            let what = format!("{family:?}, BLOCK_UNPROVEN=\"{unproven}\": {found}");
            assert!(answered.is_subset(&before), "{answered:?} answered, {before:?} asked before; {what}");
            let open = SERVICES.iter().filter(|port| found.contains(&format!(" {port}/open/")));
            assert!(open.count() <= answered.len(), "{what}");
            // Another host would have completed this scan.
            let held = || daemon.blocked().contains(&source) || daemon.fenced().contains(&source);
            daemon.wait_until("the source is held", held);
        }
        daemon.terminate();
    }
}
