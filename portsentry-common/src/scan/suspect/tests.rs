use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::{
    address::Ipv4,
    scan::{Outcome, Shape, mix},
};

fn contact(number: u8, outcome: Outcome, shape: Shape) -> Contact {
    Contact { pair: Pair::from_bits(u32::from(number)), outcome, shape, is_high: false, is_open: false }
}

fn pair(host: u8, port: u16) -> Pair {
    Pair::new(Ipv4 { octets: [192, 0, 2, host] }, port, 3)
}

/// Returns the suspect whose first contacts with these pairs met silence.
fn suspect_of(pairs: &mut dyn Iterator<Item = Pair>, is_high: bool) -> Suspect {
    let mut suspect = Suspect::default();
    for pair in pairs {
        let (outcome, shape) = (Outcome::Silent, Shape::Ordinary);
        suspect.add(&Contact { pair, outcome, shape, is_high, is_open: false }, 0);
    }
    suspect
}

#[test]
fn the_number_of_failures_up_to_each_verdict() {
    for (outcome, shape, report, fence) in [
        (Outcome::Silent, Shape::Ordinary, 5, 7),
        (Outcome::Silent, Shape::Bare, 3, 6),
        (Outcome::Silent, Shape::Pattern, 3, 6),
        (Outcome::Refused, Shape::Ordinary, 7, 10),
        (Outcome::Refused, Shape::Bare, 4, 6),
    ] {
        let mut suspect = Suspect::new(1, &contact(0, outcome, shape), 0);
        let verdicts: Vec<_> = (1..12).map(|it| suspect.add(&contact(it, outcome, shape), 0)).collect();
        let first = |verdict| 2 + verdicts.iter().position(|it| *it == verdict).expect("a verdict");
        assert_eq!((first(Verdict::Report), first(Verdict::Fence)), (report, fence), "{outcome:?} {shape:?}");
        let is = |verdict| verdicts.iter().filter(|it| **it == verdict).count();
        assert_eq!(is(Verdict::Report), 1, "a report once");
        assert_eq!(is(Verdict::Fence), 13 - fence, "a fence for each further failure");
    }
}

#[test]
fn a_repeated_pair_counts_once() {
    let one = contact(1, Outcome::Silent, Shape::Pattern);
    let mut suspect = Suspect::new(1, &one, 0);
    assert!((0..1000).all(|now| suspect.add(&one, now) == Verdict::None));
    assert_eq!((suspect.failed, suspect.last), (1, 0));
}

/// A burst ends before its answers could come. Its verdict is due once none can.
#[test]
fn a_scan_that_has_ended_is_judged_once_no_answer_is_awaited() {
    const BEGIN: u32 = 1000;
    for (failures, expected) in
        [(4, Verdict::None), (5, Verdict::Report), (6, Verdict::Report), (7, Verdict::Fence)]
    {
        let mut suspect = Suspect::default();
        let verdicts: Vec<_> = (0..failures)
            .map(|number| {
                let contact = Contact { is_open: true, ..contact(number, Outcome::Silent, Shape::Ordinary) };
                suspect.add(&contact, BEGIN)
            })
            .collect();
        let awaited = verdicts.iter().filter(|it| **it == Verdict::Awaited).count();
        assert_eq!(awaited, usize::from(failures > 4), "once a period: {verdicts:?}");
        assert!(!verdicts.contains(&Verdict::Report) && !verdicts.contains(&Verdict::Fence));
        let is_pending = expected != Verdict::None;
        let pending = if is_pending { Verdict::Awaited } else { Verdict::None };
        assert_eq!(suspect.judge_at(BEGIN + OPEN - 1, true), pending, "{failures}");
        assert_eq!(suspect.judge_at(BEGIN + 2 * OPEN, true), expected, "{failures}");
    }
}

#[test]
fn services_lower_the_score_of_those_who_mostly_succeed() {
    let mut suspect = Suspect::new(1, &contact(0, Outcome::Silent, Shape::Ordinary), 0);
    for number in 1..=2 {
        suspect.add(&contact(number, Outcome::Served, Shape::Ordinary), 0);
    }
    assert_eq!(suspect.score, 220, "twice as often is not more");
    for number in 3..40 {
        suspect.add(&contact(number, Outcome::Served, Shape::Ordinary), 0);
        assert!(suspect.score >= FLOOR);
    }
    assert_eq!(suspect.credits, CREDITS);
}

/// A scanner that mixes in as many known services as it likes needs at most twice the failures.
#[test]
fn known_services_gain_a_scanner_a_factor_of_two() {
    for services in 0..20 {
        let mut suspect = Suspect::default();
        let mut known = (64..80).cycle();
        let failures = (0..64).position(|number| {
            for number in known.by_ref().take(services) {
                suspect.add(&contact(number, Outcome::Served, Shape::Ordinary), 0);
            }
            suspect.add(&contact(number, Outcome::Silent, Shape::Ordinary), 0) == Verdict::Fence
        });
        assert!(failures.is_some_and(|before| before < 14), "{failures:?} with {services} services each");
    }
}

#[test]
fn a_peer_to_peer_program_is_only_reported() {
    let verdict = |pairs: &mut dyn Iterator<Item = Pair>| suspect_of(pairs, true).verdict;
    assert_eq!(verdict(&mut (0..40).map(|it| pair(it, 6881 + 997 * u16::from(it)))), Verdict::Report as u8);
    assert_eq!(verdict(&mut (0..40).map(|host| pair(host, 8080))), Verdict::Fence as u8, "a sweep");
    assert_eq!(verdict(&mut (0..40).map(|it| pair(1, 8000 + it))), Verdict::Fence as u8, "a scan of a host");
}

/// Random addresses and ports often share the bits of `hosts` or of `ports`. That fences no peer-to-peer program.
#[test]
fn chance_fences_no_peer_to_peer_program() {
    for key in 0..20_000 {
        let mut peers = (0..40).map(|it| {
            let random = mix(key << 32 | it);
            let [host, ports @ ..] = random.to_be_bytes();
            let port = 1024 + u16::from_be_bytes([ports[0], ports[1]]) % 60_000;
            pair(host, port)
        });
        assert_ne!(suspect_of(&mut peers, true).verdict, Verdict::Fence as u8, "{key}");
    }
}

/// Membership of a distributed scan reports a source by its fourth failure, and fences none with less than six.
#[test]
fn membership_fences_no_source_by_itself() {
    for (outcome, failures, [alone, member]) in [
        (Outcome::Silent, 3, [Verdict::None, Verdict::None]),
        (Outcome::Silent, 4, [Verdict::None, Verdict::Report]),
        (Outcome::Silent, 5, [Verdict::Report, Verdict::Report]),
        (Outcome::Silent, 6, [Verdict::Report, Verdict::Fence]),
        (Outcome::Refused, 4, [Verdict::None, Verdict::None]),
        (Outcome::Refused, 7, [Verdict::Report, Verdict::Report]),
        (Outcome::Refused, 8, [Verdict::Report, Verdict::Fence]),
        (Outcome::Silent, 1, [Verdict::None, Verdict::None]),
    ] {
        for (is_member, expected) in [(false, alone), (true, member)] {
            let mut suspect = Suspect::default();
            for number in 0..failures {
                suspect.add(&contact(number, outcome, Shape::Ordinary), 0);
                suspect.raise(if is_member { number + 1 } else { 0 });
            }
            assert_eq!(suspect.verdict, expected as u8, "{outcome:?}, {failures}, {is_member}");
        }
    }
}

#[test]
fn a_failure_raises_the_score_once() {
    let mut suspect = Suspect::default();
    suspect.raise(3);
    assert_eq!(suspect, Suspect::default(), "it has no failure");
    for number in 0..2 {
        suspect.add(&contact(number, Outcome::Refused, Shape::Ordinary), 0);
    }
    for (pairs, raised) in [(1, 1), (1, 1), (0, 1), (3, 2), (2, 2)] {
        suspect.raise(pairs);
        assert_eq!((suspect.raised, suspect.score), (raised, 2 * REFUSED + i16::from(raised) * MEMBER));
    }
    for number in 2..6 {
        suspect.add(&contact(number, Outcome::Refused, Shape::Ordinary), 0);
    }
    suspect.raise(u8::MAX);
    assert_eq!(suspect.score, 6 * REFUSED + 3 * MEMBER, "only the first three count");
}

/// A failure that turns out to be a success takes its raise with it.
#[test]
fn an_answer_takes_back_what_membership_added() {
    let mark = Mark { score: SILENT, period: period(0), is_open: false };
    for (failures, raised, answers) in
        [(1, 1, 1), (3, 3, 1), (3, 3, 2), (3, 2, 1), (3, 2, 2), (6, 3, 2), (6, 3, 5)]
    {
        let mut suspect = Suspect::default();
        (0..failures).for_each(|it| _ = suspect.add(&contact(it, Outcome::Silent, Shape::Ordinary), 0));
        suspect.raise(raised);
        (0..answers)
            .for_each(|it| suspect.take_back(&contact(it, Outcome::Served, Shape::Ordinary), mark, 0));
        let left = failures - answers;
        assert_eq!(
            (suspect.failed, suspect.raised),
            (left, raised.min(left)),
            "{failures} {raised} {answers}"
        );
        let most = SILENT * i16::from(left) + MEMBER * i16::from(suspect.raised);
        assert!(suspect.score <= most, "{suspect:?}");
        suspect.raise(raised);
        assert_eq!(suspect.raised, raised.min(left), "they count once");
    }
}

proptest! {
    /// A member of groups is fenced only if it has six failures, its own contacts report it, and two more would fence
    /// it. So a group, real or spoofed, fences no source that makes
    /// only a few mistakes, and spares an attacker who spoofs a source's SYNs at most two of them.
    #[test]
    fn membership_fences_only_a_source_that_is_about_to_be(
        contacts in prop::collection::vec((0_u8..3, 0_u8..3, any::<bool>(), 0_u8..=3), 0..40),
    ) {
        let (mut member, mut alone) = (Suspect::default(), Suspect::default());
        for (number, (outcome, shape, is_high, pairs)) in (0..).zip(contacts) {
            let outcome = [Outcome::Silent, Outcome::Refused, Outcome::Served][usize::from(outcome)];
            let contact = Contact { is_high, ..contact(number, outcome, Shape::of_bits(shape.into())) };
            let verdict = member.add(&contact, 0);
            alone.add(&contact, 0);
            member.raise(pairs);
            prop_assert_eq!(member.failed, alone.failed);
            prop_assert!(member.score - alone.score <= 3 * MEMBER);
            if verdict != Verdict::Fence {
                continue;
            }
            prop_assert!(member.failed >= FENCE_PAIRS);
            prop_assert!(alone.verdict >= Verdict::Report as u8, "{:?}", alone);
            let more = (100..).filter(|it| !alone.knows(Pair::from_bits(*it))).take(2).collect::<Vec<_>>();
            let mut alone = alone;
            for pair in more {
                let pair = Pair::from_bits(pair);
                alone.add(&Contact { pair, ..self::contact(0, Outcome::Silent, Shape::Ordinary) }, 0);
            }
            prop_assert_eq!(alone.verdict, Verdict::Fence as u8, "{:?}", alone);
        }
    }

    /// A source all of whose failures are at the port of a group: they may be three.
    #[test]
    fn a_source_that_only_falls_into_a_group_is_not_fenced(
        failures in 0_u8..=MEMBER_PAIRS,
        shape in 0_u32..3,
        pairs: u8,
    ) {
        let mut suspect = Suspect::default();
        for number in 0..failures {
            let verdict = suspect.add(&contact(number, Outcome::Silent, Shape::of_bits(shape)), 0);
            suspect.raise(pairs);
            prop_assert_ne!(verdict, Verdict::Fence);
        }
        prop_assert_ne!(suspect.judge_at(1000, true), Verdict::Fence);
    }
}

#[test]
fn a_sweep_has_many_addresses_and_a_scan_many_ports() {
    let suspect = |pairs: &mut dyn Iterator<Item = Pair>| suspect_of(pairs, false);
    assert!(suspect(&mut (0..20).map(|host| pair(host, 445))).is_sweep());
    assert!(!suspect(&mut (0..20).map(|port| pair(1, port))).is_sweep());
}
