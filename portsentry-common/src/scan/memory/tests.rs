mod waiting;

use std::{vec, vec::Vec};

use proptest::prelude::*;

use super::{
    entry::TICK,
    probation::{LONG, TERMED},
    *,
};
use crate::scan::{Pair, Shape};

/// The result of noting a first contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Noted {
    /// The source succeeded, or its pair was known.
    Nothing,
    /// The source is on probation from now on.
    Enters,
    /// The source became a suspect, or was one. The verdict is other than [`Verdict::None`] if it is graver than
    /// before.
    Suspected(Verdict),
    /// There was no place for it, but perhaps one without a term.
    NoRoom,
}

fn contact(pair: u32) -> Contact {
    Contact {
        pair: Pair::from_bits(pair),
        outcome: Outcome::Silent,
        shape: Shape::Ordinary,
        is_high: false,
        is_open: false,
    }
}

struct Tables {
    probation: Vec<Probation>,
    suspects: Vec<[Suspect; SUSPECTS]>,
}

impl Tables {
    fn new(sets: usize) -> Self {
        Self { probation: vec![Probation::default(); sets], suspects: vec![Default::default(); sets] }
    }

    fn note(&mut self, source: u64, pair: u32, now: u32) -> Noted {
        let contact = contact(pair);
        let mut memory = Memory { probation: &mut self.probation, suspects: &mut self.suspects, key: 5 };
        let Note { judged, is_suspect, .. } = memory.note(source, &contact, now);
        match judged.fate {
            Fate::NoRoom => Noted::NoRoom,
            _ if is_suspect => Noted::Suspected(judged.verdict),
            Fate::Counted => Noted::Enters,
            Fate::Nothing => Noted::Nothing,
        }
    }
}

#[test]
fn a_source_is_on_probation_then_suspected_then_fenced() {
    let mut tables = Tables::new(4);
    assert_eq!(tables.note(1, 0, 100), Noted::Enters);
    assert_eq!(tables.note(1, 0, 200), Noted::Nothing, "a retry");
    for (pair, verdict) in
        [(1, Verdict::None), (2, Verdict::None), (3, Verdict::None), (4, Verdict::Report), (5, Verdict::None)]
    {
        assert_eq!(tables.note(1, pair, 300), Noted::Suspected(verdict), "{pair}");
    }
    assert_eq!(tables.note(1, 6, 300), Noted::Suspected(Verdict::Fence));
    let suspect = tables.suspects.iter().flatten().find(|it| it.tag != 0).expect("a suspect");
    assert_eq!((suspect.first, suspect.failed), (100, 7));
}

#[test]
fn a_flood_takes_no_place_whose_term_is_not_over() {
    let mut tables = Tables::new(1);
    assert_eq!(tables.note(1, 0, 1000), Noted::Enters);
    let outcomes: Vec<_> = (2..1000).map(|source| tables.note(source, 0, 1001)).collect();
    // All but the first source's, and the last one, which has no term.
    assert_eq!(outcomes.iter().filter(|it| **it == Noted::Enters).count(), ENTRANTS - 2);
    assert!(outcomes[ENTRANTS..].iter().all(|it| *it == Noted::NoRoom));
    for (round, (later, expected)) in (1..).zip([
        (SHORT_PROBATION - TICK, 0),
        (SHORT_PROBATION + TICK, TERMED - LONG),
        (2 * SHORT_PROBATION - TICK, 0),
        (PROBATION + SHORT_PROBATION, TERMED),
    ]) {
        let outcomes = (0..100).map(|source| tables.note(round * 1000 + source, 0, 1001 + later));
        assert_eq!(outcomes.filter(|it| *it == Noted::Enters).count(), expected, "{later} s later");
    }
}

#[test]
fn the_first_places_have_longer_terms() {
    let terms: Vec<_> = (0..ENTRANTS).map(term).collect();
    let [long, short] = [PROBATION, SHORT_PROBATION];
    assert_eq!(terms, [long, long, long, short, short, short, short, 0]);
}

/// Spoofed sources that come twice by chance give way to a suspect of more.
#[test]
fn a_suspect_with_two_failures_gives_way_sooner() {
    for (failures, expected) in [(2, SHORT_SUSPICION), (3, SUSPICION), (7, CONVICTION)] {
        let mut suspect = Suspect::new(1, &contact(0), 0);
        (1..failures).for_each(|it| _ = suspect.add(&contact(it), 0));
        assert!(!is_free(&suspect, expected - 1) && is_free(&suspect, expected), "{failures}");
    }
}

#[test]
fn a_full_memory_remembers_the_last_newcomer_of_each_set() {
    let mut tables = Tables::new(1);
    (1..100).for_each(|source| assert_ne!(tables.note(source, 0, 1000), Noted::Nothing));
    for (between, expected) in [(None, Noted::Suspected(Verdict::None)), (Some(8), Noted::NoRoom)] {
        let source = 500 + between.unwrap_or_default();
        assert_eq!(tables.note(source, 0, 1001), Noted::NoRoom);
        between.into_iter().for_each(|other| assert_eq!(tables.note(other, 0, 1001), Noted::NoRoom));
        assert_eq!(tables.note(source, 1, 1002), expected, "{between:?}");
    }
}

#[test]
fn an_entry_that_nobody_displaces_counts_for_a_day() {
    for (later, expected) in [
        (2 * PROBATION, Noted::Suspected(Verdict::None)),
        (OLDEST - TICK, Noted::Suspected(Verdict::None)),
        (OLDEST + 2 * TICK, Noted::Enters),
    ] {
        let mut tables = Tables::new(1);
        assert_eq!(tables.note(1, 0, 5000), Noted::Enters);
        assert_eq!(tables.note(1, 1, 5000 + later), expected, "{later}");
    }
}

#[test]
fn a_verdict_keeps_its_place_for_a_day() {
    let mut tables = Tables::new(1);
    for pair in 0..7 {
        tables.note(1, pair, 0);
    }
    // Four more, of which three find a place.
    for source in 2..6 {
        (0..3).for_each(|pair| _ = tables.note(source, pair, 10));
    }
    let later = SUSPICION + 100;
    tables.note(9, 0, later);
    assert_eq!(tables.note(9, 1, later), Noted::Suspected(Verdict::None), "a suspect's term is over");
    assert!(tables.suspects[0].iter().any(|it| it.failed == 7), "the fenced one stays");
}

fn entries() -> impl Strategy<Value = Vec<(u32, u32)>> {
    prop::collection::vec((0..4_u32, 100_000..200_000_u32), ENTRANTS)
}

proptest! {
    /// The kernel program looks for a newcomer's place in another way than [`note`] is written.
    #[test]
    fn a_newcomer_gets_a_free_place_or_the_oldest(entries in entries(), now in 200_000..300_000_u32, tag: u32) {
        let contact = Contact { shape: Shape::Bare, ..contact(5) };
        let mut set = Probation::default();
        for (it, (which, at)) in set.iter_mut().zip(&entries) {
            *it = if *which == 0 { 0 } else { entry(which << 13 | 1, &contact, *at) };
        }
        let (place, age) = oldest(&set, now);
        // The time for which a term has been over.
        let over = |place: usize| i64::from(idle(set[place], now)) - i64::from(term(place));
        let is_free = set[place] == 0;
        prop_assert_eq!(is_free, set[..TERMED].contains(&0));
        prop_assert!(place < TERMED);
        if is_free {
            prop_assert_eq!(age, u32::MAX);
        } else {
            prop_assert_eq!(over(place), (0..TERMED).map(over).max().expect("some"), "{:?}", set);
            prop_assert_eq!(i64::from(age) - i64::from(PROBATION), over(place));
            let (_, admission) = admit((place, age));
            let displaced = if over(place) >= 0 { idle(set[place], now) } else { 0 };
            prop_assert_eq!((admission.has_room, admission.displaced), (over(place) >= 0, displaced));
        }
        for tag in [tag, 1, 1 << 13 | 1, 2 << 13 | 1] {
            let is_held = set.iter().any(|it| is_tagged(*it, tag));
            prop_assert!(!is_held || may_hold(&set, tag));
            let is_free = set.contains(&0);
            prop_assert!(is_held || is_free || !may_hold(&set, tag));
        }
    }

    #[test]
    fn a_suspects_tag_is_found(tags: [u32; SUSPECTS], at in 0..SUSPECTS, other: u32) {
        prop_assert!(may_suspect(&tags, tags[at]));
        prop_assert_eq!(may_suspect(&tags, other), tags.contains(&other));
    }
}
