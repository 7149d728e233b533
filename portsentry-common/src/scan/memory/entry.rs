//! An entry on probation, in a word.

use crate::scan::{Contact, Outcome, Pair, Shape, suspect::OPEN};

/// Seconds in a tick of the time on probation: a period, so that a suspect's first failure is in the period of its mark.
pub(super) const TICK: u32 = OPEN;
/// Bits of an entry on probation: 19 of a tag, 5 of what else is known of its contact, 24 of a pair, 16 of a time in ticks.
const TAG_SHIFT: u32 = 45;
const IS_OPEN: u64 = 1 << 44;
const IS_HIGH: u64 = 1 << 43;
const SHAPE_SHIFT: u32 = 41;
const IS_REFUSED: u64 = 1 << 40;
const PAIR_SHIFT: u32 = 16;
const TIME: u64 = 0xffff;
/// Bits of a tag that an entry has no room for.
const TAG_REST: u32 = 32 - (u64::BITS - TAG_SHIFT);

/// Returns the entry on probation that replaces this one after an answer to `contact`.
#[inline(always)]
pub(super) fn settle_entry(entry: u64, contact: &Contact) -> u64 {
    if pair(entry) != contact.pair {
        entry
    } else if contact.outcome == Outcome::Served {
        0
    } else {
        entry & !IS_OPEN | IS_REFUSED
    }
}

/// Returns the age of an entry, the greatest for a free place.
#[inline(always)]
#[must_use]
pub fn idle(entrant: u64, now: u32) -> u32 {
    if entrant == 0 { u32::MAX } else { age(entrant, now) }
}

/// Returns the entry of a source with this tag, whose contact failed.
#[inline(always)]
#[must_use]
pub fn entry(tag: u32, contact: &Contact, now: u32) -> u64 {
    let flag = |is_set, flag| if is_set { flag } else { 0 };
    u64::from(tag >> TAG_REST) << TAG_SHIFT
        | flag(contact.is_open, IS_OPEN)
        | flag(contact.is_high, IS_HIGH)
        | (contact.shape as u64) << SHAPE_SHIFT
        | flag(contact.outcome == Outcome::Refused, IS_REFUSED)
        | u64::from(contact.pair.bits()) << PAIR_SHIFT
        | u64::from(now / TICK) & TIME
}

/// Returns the failed contact of an entry.
#[inline(always)]
pub(super) fn entered_by(entrant: u64) -> Contact {
    Contact {
        pair: pair(entrant),
        outcome: if entrant & IS_REFUSED == 0 { Outcome::Silent } else { Outcome::Refused },
        shape: Shape::of_bits((entrant >> SHAPE_SHIFT) as u32),
        is_high: entrant & IS_HIGH != 0,
        is_open: entrant & IS_OPEN != 0,
    }
}

/// Whether a place on probation is the one of the source with this tag. An entry that is 0 by chance counts as a free place.
#[inline(always)]
#[must_use]
pub fn is_tagged(entrant: u64, tag: u32) -> bool {
    entrant != 0 && entrant >> TAG_SHIFT == u64::from(tag >> TAG_REST)
}

#[expect(clippy::cast_possible_truncation, reason = "it is masked")]
#[inline(always)]
pub(super) fn pair(entrant: u64) -> Pair {
    Pair::from_bits((entrant >> PAIR_SHIFT) as u32)
}

/// Returns the seconds since the entry was made. The time wraps after three days.
#[inline(always)]
pub(super) fn age(entrant: u64, now: u32) -> u32 {
    (u64::from(now / TICK).wrapping_sub(entrant & TIME) & TIME) as u32 * TICK
}

/// Bits of the place's number in a [`rank`].
pub(super) const PLACE_BITS: u32 = 3;

/// Returns a number that is the greater the longer ago the entry was made. The lowest bits are 0.
#[inline(always)]
pub(super) fn rank(entrant: u64, now: u32) -> u64 {
    const TOP: u32 = u64::BITS - TIME.count_ones();
    u64::from(now / TICK).wrapping_sub(entrant) << TOP >> (TOP - PLACE_BITS)
}

/// Returns the age in a rank, in seconds.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "it has 16 bits")]
pub(super) fn age_of_rank(rank: u64) -> u32 {
    (rank >> PLACE_BITS) as u32 * TICK
}

/// Returns 0 if the entry has this tag, otherwise a small number.
#[inline(always)]
pub(super) fn tag_apart(entrant: u64, tag: u32) -> u64 {
    entrant >> TAG_SHIFT ^ u64::from(tag >> TAG_REST)
}
