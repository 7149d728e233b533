//! The mark of a question: an octet with the score that its contact added.

use super::{BARE, MEMBER, PATTERN, REFUSED, SILENT};

/// Number of periods that are told apart in the record of a question.
pub const PERIODS: u8 = 4;

/// What a contact added, as its answer needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The score, or 0 if none was added.
    pub score: i16,
    /// The contact's [`super::suspect::period`], modulo [`PERIODS`].
    pub period: u8,
    /// Whether its answer could still come.
    pub is_open: bool,
}

impl Mark {
    /// Returns the mark in an octet. The score is that of an outcome, and up to seven nats more.
    #[inline(always)]
    #[must_use]
    pub const fn bits(self) -> u8 {
        if self.score < REFUSED {
            return 0;
        }
        MARKED
            | (is_silent(self.score) as u8) << 1
            | (nats(self.score) & 7) << 2
            | (self.is_open as u8) << 5
            | (self.period % PERIODS) << 6
    }

    /// Returns the mark from [`Mark::bits`].
    #[inline(always)]
    #[must_use]
    pub const fn of_bits(bits: u8) -> Self {
        let nats = (bits >> 2 & 7) as i16;
        let score = if bits & MARKED == 0 { 0 } else { outcome(bits & 2 != 0) + nats * NAT };
        Self { score, period: bits >> 6, is_open: bits & 1 << 5 != 0 }
    }
}

/// Bit of a mark that isn't 0.
const MARKED: u8 = 1;

/// Centinats in a nat.
pub(super) const NAT: i16 = 100;
const _: () =
    assert!(BARE % NAT == 0 && PATTERN % NAT == 0 && MEMBER % NAT == 0 && REFUSED % NAT != SILENT % NAT);

/// Returns whether a failure's score is that of a silent address. What the shape and the group add are whole nats.
#[inline(always)]
pub(super) const fn is_silent(score: i16) -> bool {
    score % NAT == SILENT % NAT
}

/// Returns what the shape and the group add to a failure's score, in nats.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the highest score is 520")]
pub(super) const fn nats(score: i16) -> u8 {
    ((score - outcome(is_silent(score))) as u16 / NAT as u16) as u8
}

const fn outcome(is_silent: bool) -> i16 {
    if is_silent { SILENT } else { REFUSED }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_mark_is_the_score_and_the_period(
            score in prop::sample::select(vec![150, 220, 250, 320, 350, 420, 450, 520]),
            period: u8,
            is_open: bool,
        ) {
            let mark = Mark { score, period: period % PERIODS, is_open };
            prop_assert_eq!(Mark::of_bits(mark.bits()), mark);
            prop_assert_eq!(Mark { score: 0, ..mark }.bits(), 0);
            prop_assert_eq!(Mark::of_bits(0).score, 0);
        }
    }
}
