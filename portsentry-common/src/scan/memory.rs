//! The bounded memory of first contacts. No flood can displace its entries before their time.
//!
//! A source with one failed pair is on probation: 8 bytes, eight places in a cache line. With the second pair it
//! becomes a [`Suspect`]: 32 bytes, four places in a set. An entry keeps its place for its term. A newcomer
//! takes a free place, or else the place whose term has been over for the longest time. If there is none, it is
//! counted and forgotten. Thus a flood of spoofed sources freezes the memory instead of flushing it.

use super::{Contact, Outcome, Pair, Verdict, mix, suspect::Suspect};

/// Term of a source on probation, in seconds.
pub const PROBATION: u32 = 15 * 60;
/// Term of a suspect after its last new pair, in seconds.
pub const SUSPICION: u32 = 60 * 60;
/// Term of a suspect with a verdict, in seconds: it outlives the fence.
pub const CONVICTION: u32 = 24 * 60 * 60;
/// Age at which an entry counts for nothing, even if nobody needed its place, in seconds.
pub const OLDEST: u32 = 24 * 60 * 60;

/// Places on probation in a set.
pub const ENTRANTS: usize = 8;
/// Places for suspects in a set.
pub const SUSPECTS: usize = 4;

/// Seconds in a tick of the time on probation.
const TICK: u32 = 8;
/// Bits of an entry on probation: 24 of a tag, 24 of a pair, 16 of a time in ticks.
const TAG_SHIFT: u32 = 40;
const PAIR_SHIFT: u32 = 16;
const TIME: u64 = 0xffff;

/// Sources on probation, in a cache line. 0 is a free place.
pub type Probation = [u64; ENTRANTS];

/// The result of noting a first contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// The source succeeded, or its pair was known.
    Nothing,
    /// The source is on probation from now on.
    Enters,
    /// The source became a suspect, or was one. The verdict is other than [`Verdict::None`] if it is graver than
    /// before.
    Suspected(Verdict),
    /// There was no place for it.
    NoRoom,
}

/// The two tables. The numbers of sets are powers of two.
#[derive(Debug)]
pub struct Memory<'table> {
    /// Sources with one failed pair.
    pub probation: &'table mut [Probation],
    /// Sources with more.
    pub suspects: &'table mut [[Suspect; SUSPECTS]],
    /// A secret, so that no flood can choose the sets that it fills.
    pub key: u64,
}

impl Memory<'_> {
    /// Notes a first contact of `source`, at `now` in seconds.
    pub fn note(&mut self, source: u64, contact: &Contact, now: u32) -> Noted {
        let hash = mix(source ^ self.key);
        #[expect(clippy::cast_possible_truncation, reason = "a part of the hash is enough")]
        let tag = hash as u32 | 1;
        let suspects = place(self.suspects, hash);
        if let Some(suspect) = suspects.iter_mut().find(|it| it.tag == tag && spent(it, now) <= OLDEST) {
            return Noted::Suspected(suspect.add(contact, now));
        }
        if contact.outcome == Outcome::Served {
            return Noted::Nothing;
        }
        let probation = place(self.probation, hash);
        let Some(entrant) = probation.iter_mut().find(|it| is_tagged(**it, tag) && idle(**it, now) <= OLDEST)
        else {
            let Some(entrant) = probation.iter_mut().max_by_key(|it| idle(**it, now)) else {
                return Noted::NoRoom;
            };
            if idle(*entrant, now) < PROBATION {
                return Noted::NoRoom;
            }
            *entrant = entry(tag, contact.pair, now);
            return Noted::Enters;
        };
        let first = pair(*entrant);
        if first == contact.pair {
            return Noted::Nothing;
        }
        let free = suspects.iter_mut().filter(|it| is_free(it, now)).max_by_key(|it| spent(it, now));
        let Some(suspect) = free else { return Noted::NoRoom };
        let began = now.saturating_sub(age(*entrant, now));
        *suspect = Suspect::new(tag, &Contact { pair: first, ..*contact }, began);
        *entrant = 0;
        Noted::Suspected(suspect.add(contact, now))
    }
}

/// Returns the set for a hash.
fn place<T>(sets: &mut [T], hash: u64) -> &mut T {
    let last = sets.len() - 1;
    &mut sets[(hash >> 32) as usize & last]
}

fn is_free(suspect: &Suspect, now: u32) -> bool {
    let term = if suspect.verdict == Verdict::None as u8 { SUSPICION } else { CONVICTION };
    spent(suspect, now) >= term
}

/// Returns the age of an entry, the greatest for a free place.
fn idle(entrant: u64, now: u32) -> u32 {
    if entrant == 0 { u32::MAX } else { age(entrant, now) }
}

/// Returns the time since a suspect's last new pair, the greatest for a free place.
fn spent(suspect: &Suspect, now: u32) -> u32 {
    if suspect.tag == 0 { u32::MAX } else { now.saturating_sub(suspect.last) }
}

fn entry(tag: u32, pair: Pair, now: u32) -> u64 {
    u64::from(tag >> 8) << TAG_SHIFT | u64::from(pair.bits()) << PAIR_SHIFT | u64::from(now / TICK) & TIME
}

/// No entry is 0: its tag would have to be.
fn is_tagged(entrant: u64, tag: u32) -> bool {
    entrant != 0 && entrant >> TAG_SHIFT == u64::from(tag >> 8)
}

#[expect(clippy::cast_possible_truncation, reason = "it is masked")]
fn pair(entrant: u64) -> Pair {
    Pair::from_bits((entrant >> PAIR_SHIFT) as u32)
}

/// Returns the seconds since the entry was made. The time wraps after six days.
fn age(entrant: u64, now: u32) -> u32 {
    (u64::from(now / TICK).wrapping_sub(entrant & TIME) & TIME) as u32 * TICK
}

#[cfg(test)]
mod tests {
    use std::{vec, vec::Vec};

    use super::*;
    use crate::scan::Shape;

    struct Tables {
        probation: Vec<Probation>,
        suspects: Vec<[Suspect; SUSPECTS]>,
    }

    impl Tables {
        fn new(sets: usize) -> Self {
            Self { probation: vec![Probation::default(); sets], suspects: vec![Default::default(); sets] }
        }

        fn note(&mut self, source: u64, pair: u32, now: u32) -> Noted {
            let contact = Contact {
                pair: Pair::from_bits(pair),
                outcome: Outcome::Silent,
                shape: Shape::Ordinary,
                is_high: false,
                is_member: false,
            };
            Memory { probation: &mut self.probation, suspects: &mut self.suspects, key: 5 }
                .note(source, &contact, now)
        }
    }

    #[test]
    fn a_source_is_on_probation_then_suspected_then_fenced() {
        let mut tables = Tables::new(4);
        assert_eq!(tables.note(1, 0, 100), Noted::Enters);
        assert_eq!(tables.note(1, 0, 200), Noted::Nothing, "a retry");
        for (pair, verdict) in [
            (1, Verdict::None),
            (2, Verdict::None),
            (3, Verdict::None),
            (4, Verdict::Report),
            (5, Verdict::None),
        ] {
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
        assert_eq!(outcomes.iter().filter(|it| **it == Noted::Enters).count(), ENTRANTS - 1);
        assert!(outcomes[ENTRANTS..].iter().all(|it| *it == Noted::NoRoom));
        assert_eq!(tables.note(1, 1, 1000 + PROBATION - TICK), Noted::Suspected(Verdict::None));
        let late = 1001 + PROBATION + TICK;
        assert_eq!(tables.note(2000, 0, late), Noted::Enters, "the others' terms are over");
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
            tables.note(source, 0, 10);
            tables.note(source, 1, 10);
        }
        let later = SUSPICION + 100;
        tables.note(9, 0, later);
        assert_eq!(tables.note(9, 1, later), Noted::Suspected(Verdict::None), "a suspect's term is over");
        assert!(tables.suspects[0].iter().any(|it| it.failed == 7), "the fenced one stays");
    }
}
