//! The memory of first contacts as time passes: kernel program, model and oracle agree on it.
//!
//! The oracle's tables never fill up, so it judges no story in which places are scarce.

use std::time::Duration;

use portsentry_common::{
    decide::Verdict,
    judge::Action,
    scan::memory::{OLDEST, PROBATION, SHORT_PROBATION, SHORT_SUSPICION, SUSPICION},
    settings::{ScanDetection, Settings},
};
use portsentry_tests::{
    frames::{Packet, ordinary_syn},
    judges::Judges,
    namespace::with_sockets,
    outcome::Outcome,
    scenario::Scenario,
    test_host,
};

/// A key under which no pair of these tests is taken for another one.
const KEY: u64 = 7;
/// Longer than a test takes, and than a tick of the memory's clock.
const MARGIN: u32 = 120;
const FENCE: u32 = 3600;

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

fn scanning(sets: u32) -> Scenario {
    Scenario::with(|settings| {
        *settings = Settings {
            fence_ns: u64::from(FENCE) * 1_000_000_000,
            fence_rate: u32::MAX,
            trigger: u32::MAX,
            scans: ScanDetection::Fence as u8,
            scan_key: KEY,
            scan_mask: sets - 1,
            remembers: 0,
            ..*settings
        };
    })
}

/// Tells a story in which there is room for all sources.
fn story(tell: impl FnOnce(&mut Judges) + Send) {
    with_sockets(&test_host::sockets(), || tell(&mut Judges::new(&scanning(256))));
}

/// A SYN as operating systems send it, to an own port without a service.
fn contact(source: u8, port: u16) -> Packet {
    let (source, host) = (format!("192.0.2.{source}:40000"), format!("198.51.100.1:{}", 3000 + port));
    ordinary_syn().from(&source).to(&host)
}

fn judge(judges: &mut Judges, source: u8, port: u16) -> Outcome {
    let packet = contact(source, port);
    judges.judge(&packet.frame(0), &packet)
}

/// Makes the source fail at these ports. Returns the verdicts, each with the number of failures.
fn fail(judges: &mut Judges, source: u8, ports: impl IntoIterator<Item = u16>) -> Vec<(Verdict, u32)> {
    let outcomes = ports.into_iter().flat_map(|port| judge(judges, source, port).told);
    outcomes.map(|told| (told.verdict, told.hits)).collect()
}

#[test]
fn a_failure_counts_for_a_day() {
    for (known, later, counts) in [
        (1, OLDEST - MARGIN, true),
        (1, OLDEST + MARGIN, false),
        (5, OLDEST - MARGIN, true),
        (5, OLDEST + MARGIN, false),
    ] {
        story(|judges| {
            assert_eq!(fail(judges, 61, 1..=known), []);
            judges.pass_time(seconds(later));
            // The seventh failure is reported.
            let expected: &[_] = if counts { &[(Verdict::Report, 7)] } else { &[] };
            assert_eq!(fail(judges, 61, known + 1..=7), expected, "{known} failures, {later} s ago");
            if !counts {
                assert_eq!(fail(judges, 61, 8..=7 + known), [(Verdict::Report, 7)], "it began anew");
            }
        });
    }
}

#[test]
fn a_scan_of_one_contact_an_hour_is_fenced() {
    story(|judges| {
        let mut verdicts = Vec::new();
        for port in 1..=10 {
            verdicts.extend(fail(judges, 61, [port]));
            judges.pass_time(seconds(3600));
        }
        assert_eq!(verdicts, [(Verdict::Report, 7), (Verdict::Fence, 10)]);
    });
}

#[test]
fn a_verdict_outlives_its_fence_by_a_day() {
    for (later, is_fenced) in [(FENCE + MARGIN, true), (OLDEST - MARGIN, true), (OLDEST + MARGIN, false)] {
        story(|judges| {
            fail(judges, 61, 1..=10);
            assert_eq!(judge(judges, 61, 11).action, Action::Drop, "it is fenced");
            judges.pass_time(seconds(later));
            let retry = judge(judges, 61, 10);
            assert_eq!((retry.action, retry.told), (Action::Pass, Vec::new()), "a port that it has tried");
            let expected: &[_] = if is_fenced { &[(Verdict::Fence, 11)] } else { &[] };
            assert_eq!(fail(judges, 61, [12]), expected, "{later} s later");
        });
    }
}

/// The sets of suspects, and the places for them.
const SETS: u32 = 1;
const PLACES: usize = 14;
/// The places whose terms are shorter.
const SHORT_PLACES: usize = 8;

/// Tells a story with room for fourteen sources on probation that have a term, and four suspects.
fn crowded(tell: impl FnOnce(&mut Judges) + Send) {
    with_sockets(&test_host::sockets(), || tell(&mut Judges::without_oracle(&scanning(SETS))));
}

/// Makes each source fail once. Returns the number of those that had room.
fn enter(judges: &mut Judges, sources: impl IntoIterator<Item = u8>) -> usize {
    let has_room = |source: &u8| judge(judges, *source, 1).counted.contains_key("failed_contacts");
    sources.into_iter().filter(has_room).count()
}

/// Returns the time in seconds that the memory promises, and whether it is full, by kernel program and model.
fn horizon(judges: &mut Judges) -> (u32, bool) {
    let (kernel, model) = judges.two();
    let now = kernel.now();
    let state = kernel.look().scans.as_ref().expect("a memory").state().expect("its state");
    let [found, expected] = [state, model.scan_state()].map(|state| state.horizon(now));
    assert!(found.seconds.abs_diff(expected.seconds) < MARGIN, "{found:?}, and {expected:?} by the model");
    assert_eq!(found.is_full, expected.is_full);
    (found.seconds, found.is_full)
}

#[test]
fn a_flood_takes_no_place_before_its_term_is_over() {
    crowded(|judges| {
        assert_eq!(enter(judges, 1..=100), PLACES);
        assert_eq!(horizon(judges), (OLDEST, true));
        judges.pass_time(seconds(SHORT_PROBATION - MARGIN));
        assert_eq!(horizon(judges), (OLDEST, false));
        assert_eq!(enter(judges, 101..=150), 0, "the terms last");
        assert_eq!(horizon(judges), (OLDEST, true), "nothing that had a term was displaced");
        judges.pass_time(seconds(2 * MARGIN));
        assert_eq!(enter(judges, 151..=200), SHORT_PLACES, "the shorter terms are over");
        let (least, is_full) = horizon(judges);
        assert!((SHORT_PROBATION..SHORT_PROBATION + 3 * MARGIN).contains(&least) && is_full, "{least}");
        judges.pass_time(seconds(PROBATION - SHORT_PROBATION - 2 * MARGIN));
        assert_eq!(enter(judges, 201..=220), 0, "the longer ones last, and the new ones");
        judges.pass_time(seconds(2 * MARGIN));
        assert_eq!(enter(judges, 221..=250), PLACES, "all are over");
    });
}

#[test]
fn the_horizon_is_forgotten_after_two_periods() {
    crowded(|judges| {
        enter(judges, 1..=100);
        judges.pass_time(seconds(PROBATION + MARGIN));
        enter(judges, 101..=101);
        assert!(horizon(judges).0 < OLDEST);
        judges.pass_time(seconds(2 * PROBATION + MARGIN));
        assert_eq!(horizon(judges), (OLDEST, false));
    });
}

#[test]
fn a_suspect_with_two_failures_keeps_its_place_for_a_quarter_of_an_hour() {
    crowded(|judges| {
        for source in 1..=4 {
            assert_eq!(fail(judges, source, [1, 2]), [], "{source}");
        }
        enter(judges, [5, 6]);
        let becomes_a_suspect =
            |judges: &mut Judges, source| judge(judges, source, 2).counted.contains_key("failed_contacts");
        judges.pass_time(seconds(SHORT_SUSPICION - MARGIN));
        assert!(!becomes_a_suspect(judges, 5), "their terms last");
        judges.pass_time(seconds(2 * MARGIN));
        assert!(becomes_a_suspect(judges, 5), "their terms are over");
    });
}

#[test]
fn a_suspect_keeps_its_place_for_an_hour_and_a_convicted_one_for_a_day() {
    crowded(|judges| {
        let has_room =
            |judges: &mut Judges, source| judge(judges, source, 2).counted.contains_key("failed_contacts");
        assert_eq!(fail(judges, 1, 1..=10).len(), 2, "it is reported and fenced");
        for source in 2..=4 {
            enter(judges, [source]);
            assert!(has_room(judges, source), "{source}");
            fail(judges, source, [3]);
        }
        enter(judges, [5, 6, 7, 8]);
        assert!(!has_room(judges, 5), "four are suspects");
        judges.pass_time(seconds(SUSPICION - MARGIN));
        assert!(!has_room(judges, 5), "their terms last");
        judges.pass_time(seconds(2 * MARGIN));
        assert!([5, 6, 7].into_iter().all(|source| has_room(judges, source)), "their terms are over");
        assert!(!has_room(judges, 8), "that of the verdict isn't");
        assert_eq!(fail(judges, 1, [12]), [(Verdict::Fence, 11)], "it is fenced anew");
    });
}
