//! Failed first contacts with the host's own ports (`SCAN_DETECTION`).

use portsentry_common::settings::{ScanDetection, Settings};

use super::chapter::{Chapter, Story};
use crate::{
    expect::{Expected, fails, fails_and_fences, fails_and_is_told, is_fenced_off, is_served, passes},
    frames::{ACK, Packet, ordinary_syn, tcp},
    scenario::Scenario,
};

/// A key under which no contact of a story is taken for another of the same story.
const KEY: u64 = 7;

pub(super) fn chapters() -> Vec<Chapter> {
    vec![
        Chapter {
            what: "scans fence",
            scenario: Scenario::with(|settings| detecting(settings, ScanDetection::Fence)),
            stories: vec![scan(), retries(), services(), few_services(), others()],
        },
        Chapter {
            what: "scans are reported",
            scenario: Scenario::with(|settings| detecting(settings, ScanDetection::Report)),
            stories: vec![reported()],
        },
        Chapter {
            what: "scans fence IPv6 networks",
            scenario: Scenario::with(|settings| {
                detecting(settings, ScanDetection::Fence);
                *settings = settings.held_by(64);
            }),
            stories: vec![network(), neighbours()],
        },
    ]
}

fn detecting(settings: &mut Settings, scans: ScanDetection) {
    const HOUR_NS: u64 = 3_600_000_000_000;
    const SETS: u32 = 256;
    settings.fence_ns = HOUR_NS;
    settings.fence_rate = u32::MAX;
    settings.trigger = u32::MAX;
    settings.scans = scans as u8;
    (settings.scan_key, settings.scan_mask) = (KEY, SETS - 1);
    settings.remembers = 0;
}

/// Returns a SYN as operating systems send it.
fn syn(to: &str) -> Packet {
    ordinary_syn().to(to)
}

/// Returns a SYN to an own port without a service.
fn unserved(port: u16) -> Packet {
    syn(&format!("198.51.100.1:{}", 3000 + port))
}

fn story(what: &'static str, steps: impl IntoIterator<Item = (Packet, Expected)>) -> Story {
    Story { what, steps: steps.into_iter().collect() }
}

/// Returns the outcomes of a source's failures, which score 1.5 each, up to the fence.
fn outcome(failures: u32) -> Expected {
    match failures {
        7 => fails_and_is_told(7),
        10 => fails_and_fences(10),
        _ => fails(),
    }
}

fn scan() -> Story {
    let contacts = (1..=10).map(|number| (unserved(number), outcome(number.into())));
    story("ten closed ports fence", contacts.chain([(unserved(11), is_fenced_off(None))]))
}

fn retries() -> Story {
    let tries = [(0, fails()), (1, passes()), (2, passes())];
    let contacts = (1..=6).flat_map(|number| {
        let tries = tries.clone().into_iter();
        tries.map(move |(retry, expected)| {
            (unserved(number).from(&format!("192.0.2.2:{}", 40_000 + retry)), expected)
        })
    });
    story("a port counts once", contacts.chain([(unserved(7), fails_and_is_told(7))]))
}

/// Own ports with a service.
const SERVICES: [&str; 6] = [
    "198.51.100.1:22",
    "198.51.100.1:80",
    "198.51.100.1:443",
    "198.51.100.2:80",
    "198.51.100.2:443",
    "203.0.113.1:22",
];

/// After two failures, the fifth and the sixth service take one off each.
fn services() -> Story {
    let failures = |numbers: std::ops::RangeInclusive<u16>| numbers.map(|number| (unserved(number), fails()));
    let services = SERVICES.map(|service| (syn(service), is_served()));
    let last = [(unserved(9), fails_and_is_told(9))];
    story(
        "more than twice as many services take failures off",
        failures(1..=2).chain(services).chain(failures(3..=8)).chain(last),
    )
}

fn few_services() -> Story {
    let failures = (1..=6).map(|number| (unserved(number), fails()));
    let services = SERVICES.map(|service| (syn(service), is_served()));
    story(
        "services in between hide no scan",
        failures.chain(services).chain([(unserved(7), fails_and_is_told(7))]),
    )
}

fn others() -> Story {
    let ignored = (1..=12).map(|number| (unserved(number).from("192.0.2.241:40000"), passes()));
    let acks = (1..=12).map(|number| (tcp(ACK).to(&format!("198.51.100.1:{}", 3000 + number)), passes()));
    let foreign = (1..=12).map(|number| (syn(&format!("203.0.113.9:{}", 3000 + number)), passes()));
    story("other packets and other hosts' ports don't count", ignored.chain(acks).chain(foreign))
}

fn reported() -> Story {
    let contacts = (1..=10).map(|number| {
        let expected = if number == 10 { fails_and_is_told(10) } else { outcome(number.into()) };
        (unserved(number), expected)
    });
    story(
        "a scan is reported twice, and passes",
        contacts.chain((11..=14).map(|number| (unserved(number), fails()))),
    )
}

/// Returns a SYN from one of many addresses to an own port without a service.
fn from_network(network: &str, number: u16) -> Packet {
    syn(&format!("[2001:db8::1]:{}", 3000 + number)).from(&format!("[{network}::{number:x}]:40000"))
}

fn network() -> Story {
    const NETWORK: &str = "2001:db8:bad:7";
    let contacts = (1..=10).map(|number| (from_network(NETWORK, number), outcome(number.into()).by(64)));
    story(
        "all addresses of a /64 are one source",
        contacts.chain([(from_network(NETWORK, 11), is_fenced_off(None))]),
    )
}

/// The network is the host's own link.
fn neighbours() -> Story {
    story(
        "neighbours count one by one",
        (1..=12).map(|number| (from_network("2001:db8:5:0", number), fails())),
    )
}
