use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const HOUR: u64 = 3_600_000_000_000;

fn probe(kind: Kind, source_port: u16, port: u16) -> Probe {
    let protocol = if kind == Kind::Udp { Protocol::Udp } else { Protocol::Tcp };
    Probe { protocol, kind, source_port, port, flags: 0 }
}

#[test]
fn a_question_asks_for_something_new() {
    for (kind, source_port, port, expected) in [
        (Kind::Syn, 40_000, 443, true),
        (Kind::Syn, 20, 50_000, true),
        (Kind::Udp, 40_000, 53, true),
        (Kind::Udp, 53, 40_000, false),
        (Kind::Udp, 123, 123, false),
        (Kind::Udp, 40_000, 4500, false),
        (Kind::Ack, 40_000, 443, false),
        (Kind::Fin, 40_000, 443, false),
        (Kind::Xmas, 40_000, 443, false),
        (Kind::Fragment, 40_000, 443, false),
    ] {
        assert_eq!(is_question(&probe(kind, source_port, port)), expected, "{kind:?} {source_port} {port}");
    }
}

#[test]
fn refusals_add_up_and_served_ports_take_them_off() {
    let mut failures = Failures::NONE;
    let mut now = HOUR;
    let mut refuse = |failures: &mut Failures, pair| {
        now += 1;
        failures.refuse(pair, now, HOUR)
    };
    assert_eq!([1, 1, 2, 3].map(|pair| refuse(&mut failures, pair)), [1, 1, 2, 3]);
    failures.serve(80, HOUR, HOUR);
    assert_eq!(failures.number(HOUR, HOUR), 2);
    failures.serve(80, HOUR, HOUR);
    assert_eq!(failures.number(HOUR, HOUR), 2, "the same port takes off only one");
    assert_eq!(refuse(&mut failures, 3), 3, "a port refuses again");
    for port in 81..90 {
        failures.serve(port, HOUR, HOUR);
    }
    assert_eq!(failures.number(HOUR, HOUR), 0);
}

#[test]
fn failures_end_with_the_window() {
    let mut failures = Failures::NONE;
    failures.refuse(1, HOUR, HOUR);
    for (now, window, expected) in
        [(HOUR, HOUR, 1), (2 * HOUR - 1, HOUR, 1), (2 * HOUR, HOUR, 0), (9 * HOUR, 0, 1)]
    {
        assert_eq!(failures.number(now, window), expected, "{now} {window}");
    }
}

#[test]
fn questions_that_differ_in_one_part_have_different_hashes() {
    let mut all = HashSet::new();
    for word in 0..64 {
        let bit = 1_u64 << word;
        all.insert(hash([bit, 7], [8, 9], 10, 11));
        all.insert(hash([6, bit], [8, 9], 10, 11));
        all.insert(hash([6, 7], [bit, 9], 10, 11));
        all.insert(hash([6, 7], [8, bit], 10, 11));
        all.insert(hash([6, 7], [8, 9], bit, 11));
    }
    // The five questions with a bit that equals the usual value are one.
    assert!(all.len() > 5 * 64 - 5, "{}", all.len());
    assert!(!all.contains(&0));
}

proptest! {
    #[test]
    fn failures_never_exceed_the_refusals(steps in prop::collection::vec((any::<bool>(), 0u32..40), 0..200)) {
        let (mut failures, mut refused) = (Failures::NONE, 0);
        for (is_refused, pair) in steps {
            if is_refused {
                refused += 1;
                failures.refuse(pair, HOUR, HOUR);
            } else {
                failures.serve(pair, HOUR, HOUR);
            }
            prop_assert!(failures.number(HOUR, HOUR) <= refused);
        }
    }
}
