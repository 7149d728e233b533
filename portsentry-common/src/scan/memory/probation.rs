//! The places of a set of sources on probation.

use super::{
    Note, OLDEST,
    entry::{PLACE_BITS, age_of_rank, idle, is_tagged, rank, tag_apart},
};
use crate::scan::contacts::{Fate, Judged};

/// Term of a source on probation, in seconds.
pub const PROBATION: u32 = 15 * 60;
/// The term at the later places of a set: longer than the pace of a scanner with a probe in five minutes.
pub const SHORT_PROBATION: u32 = 7 * 60;
/// Places on probation in a set.
pub const ENTRANTS: usize = 8;
/// The places on probation with a term of [`PROBATION`] are the first ones.
pub(super) const LONG: usize = 3;
/// Places on probation with any term: all but the last.
pub(super) const TERMED: usize = ENTRANTS - 1;
/// Seconds by which [`SHORT_PROBATION`] is shorter.
const SHORTER: u32 = PROBATION - SHORT_PROBATION;

/// Sources on probation, in a cache line. 0 is a free place.
pub type Probation = [u64; ENTRANTS];

const _: () = assert!(1 << PLACE_BITS == ENTRANTS);

/// Returns the term of a place on probation, in seconds.
#[must_use]
pub const fn term(place: usize) -> u32 {
    if place < LONG {
        PROBATION
    } else if place < TERMED {
        SHORT_PROBATION
    } else {
        0
    }
}

/// Returns the place of the source on probation with this tag, or [`ENTRANTS`] if there is none.
#[inline(always)]
#[must_use]
pub fn entered(probation: &Probation, tag: u32, now: u32) -> usize {
    let is_its = |it: &u64| is_tagged(*it, tag) && idle(*it, now) <= OLDEST;
    probation.iter().position(is_its).unwrap_or(ENTRANTS)
}

/// Returns the place of the entry on probation whose term has been over for the longest time, or will be first, and its
/// age: at a place with a shorter term greater by as much, so that all terms end at an age of [`PROBATION`]. The greatest age
/// for a free place.
#[inline(always)]
#[must_use]
pub fn oldest(probation: &Probation, now: u32) -> (usize, u32) {
    oldest_by(probation, now, u64::max)
}

/// Does the same, given a function that returns the greater of two numbers below 2^32. The kernel program has one without a
/// branch, which random ages would mislead.
#[inline(always)]
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "a place's number")]
pub fn oldest_by(probation: &Probation, now: u32, max: impl Fn(u64, u64) -> u64) -> (usize, u32) {
    for place in (0..TERMED).rev() {
        if probation[place] == 0 {
            return (place, u32::MAX);
        }
    }
    let later = now.wrapping_add(SHORTER);
    let now_at = |place| if place < LONG as u64 { now } else { later };
    let ranks = (0..).zip(&probation[..TERMED]).map(|(place, it)| rank(*it, now_at(place)) | place);
    let best = ranks.fold(0, max);
    ((best % ENTRANTS as u64) as usize, age_of_rank(best))
}

/// Whether a place on probation may belong to the source with this tag. Ignores the entry's age.
#[inline(always)]
#[must_use]
pub fn may_hold(probation: &Probation, tag: u32) -> bool {
    probation.iter().fold(0, |found, it| found | tag_apart(*it, tag).wrapping_sub(1)) >> (u64::BITS - 1) != 0
}

/// How a newcomer was put on probation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Whether it has a term.
    pub has_room: bool,
    /// Age of the entry that it displaced, or 0.
    pub displaced: u32,
}

impl Admission {
    /// Returns the result of noting the newcomer's contact, which added this score.
    #[inline(always)]
    #[must_use]
    pub fn note(self, added: i16) -> Note {
        let fate = if self.has_room { Fate::Counted } else { Fate::NoRoom };
        let judged = Judged { fate, added, ..Judged::NOTHING };
        Note { judged, is_suspect: false, displaced: self.displaced }
    }
}

/// Returns the place on probation for a newcomer, given the result of [`oldest`].
#[inline(always)]
#[must_use]
pub fn admit((place, age): (usize, u32)) -> (usize, Admission) {
    if age < PROBATION {
        return (ENTRANTS - 1, Admission { has_room: false, displaced: 0 });
    }
    let displaced = match age {
        u32::MAX => 0,
        _ if place < LONG => age,
        _ => age - SHORTER,
    };
    (place, Admission { has_room: true, displaced })
}
