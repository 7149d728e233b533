//! How the rules reach the memory of scans.

use super::{Contact, Evidence, MEMBER_PAIRS, Outcome, Pair, Shape, Verdict, mark::nats};
use crate::{event::ScanEvent, learned::Question};

/// What the answers that pass through this host have shown of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// Nothing: no answer from its network has passed within a day, so answers may take another way.
    Unheard,
    /// Its network answers. The address hasn't, and may still.
    Unknown,
    /// It has answered within a day.
    Alive,
    /// It has been asked for [`SILENT_SECONDS`] or longer, and has not answered.
    Silent,
}

/// Time without any answer after which an address counts as silent, in seconds. Longer than a restart of a service; a
/// host that restarts answers its client's next SYN, which takes the failure back.
pub const SILENT_SECONDS: u32 = 60;

/// A destination whose answers are observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard<A> {
    /// The address.
    pub address: A,
    /// The port, if the address is an own one, whose ports may be translated to different hosts. Otherwise 0: all of its
    /// ports are one host's.
    pub port: u16,
}

/// The memory of scans, and of the answers of other hosts, as the rules use them.
pub trait Scans<A> {
    /// Notes a first contact of the source `key`, at `now` in seconds. Unless a verdict `fences`, it is
    /// returned once.
    fn note(&self, key: A, contact: &Contact, now: u32, fences: bool) -> Judged;

    /// The sets of a source in the memory, from [`Self::expect`].
    type Expected;

    /// Returns the sets of the source `key`, which are needed soon, and begins to load them. `None` if there are none.
    fn expect(&self, key: A) -> Option<Self::Expected>;

    /// Notes the first contact, which failed and adds this score, of a source that these sets don't hold. Returns `None`
    /// if they may hold it.
    fn admit(&self, sets: Self::Expected, contact: &Contact, now: u32, added: i16) -> Option<Judged>;

    /// Returns what answers have shown of a destination that is asked at `now`.
    fn hear(&self, destination: &Heard<A>, now: u32) -> Hearing;

    /// Records with a question what its failure added: [`super::mark::Mark::bits`].
    fn mark(&self, question: &Question<A>, mark: u8);

    /// Hands `event` to the daemon. Returns `false` if the ring is full.
    fn report_scan(&self, event: &ScanEvent) -> bool;
}

/// Centinats in a unit of [`Judged::packed`]'s score.
const UNIT: i16 = 10;

/// The result of noting a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The verdict, if it is graver than before.
    pub verdict: Verdict,
    /// What became of the contact.
    pub fate: Fate,
    /// The score that the contact added.
    pub added: i16,
    /// The evidence against the source, if it is a suspect.
    pub evidence: Evidence,
}

/// What became of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It added nothing.
    Nothing = 0,
    /// It counts as failed.
    Counted = 1,
    /// There was no room for it.
    NoRoom = 2,
}

impl Judged {
    /// A contact that adds nothing.
    pub const NOTHING: Self = Self {
        verdict: Verdict::None,
        fate: Fate::Nothing,
        added: 0,
        evidence: Evidence { span: 0, score: 0, failed: 0, form: 0 },
    };

    /// Whether the daemon is told: there is a verdict, or the contact is one of the source's first, which may be those of a
    /// distributed scan ([`super::group`]).
    #[inline(always)]
    #[must_use]
    pub const fn is_told(&self) -> bool {
        !matches!(self.verdict, Verdict::None) || self.is_first()
    }

    #[inline(always)]
    const fn is_first(&self) -> bool {
        matches!(self.fate, Fate::Counted) && self.evidence.failed <= MEMBER_PAIRS
    }

    /// Returns the evidence of which the daemon is told: with [`Evidence::FIRST`] and the SYN's [`Shape`], if the contact
    /// is one of the source's first.
    #[inline(always)]
    #[must_use]
    pub const fn told_evidence(&self) -> Evidence {
        if !self.is_first() {
            return self.evidence;
        }
        // The score that it added shows the shape.
        let form = self.evidence.form | Evidence::FIRST | nats(self.added) << Evidence::SHAPE_SHIFT;
        Evidence { form, ..self.evidence }
    }

    /// Returns the result in one word, because a BPF function returns no more. The span is at most eight years.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_sign_loss, reason = "its bits")]
    pub const fn packed(self) -> u64 {
        const SPAN: u32 = (1 << 28) - 1;
        let Evidence { span, score, failed, form } = self.evidence;
        let span = if span < SPAN { span } else { SPAN };
        self.verdict as u64
            | (self.fate as u64) << 2
            | ((self.added / UNIT) as u64 & 0x3f) << 4
            | (form as u64 & 3) << 10
            | (failed as u64) << 12
            | (score as u16 as u64) << 20
            | (span as u64) << 36
    }

    /// Returns the result from [`Judged::packed`].
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "fields of the word")]
    pub const fn unpacked(word: u64) -> Self {
        Self {
            verdict: match word & 3 {
                0 => Verdict::None,
                1 => Verdict::Awaited,
                2 => Verdict::Report,
                _ => Verdict::Fence,
            },
            fate: match word >> 2 & 3 {
                0 => Fate::Nothing,
                1 => Fate::Counted,
                _ => Fate::NoRoom,
            },
            added: (word >> 4 & 0x3f) as i16 * UNIT,
            evidence: Evidence {
                form: (word >> 10 & 3) as u8,
                failed: (word >> 12) as u8,
                score: (word >> 20) as u16 as i16,
                span: (word >> 36) as u32,
            },
        }
    }
}

impl Contact {
    /// Returns the contact in one word.
    #[inline(always)]
    #[must_use]
    pub const fn packed(&self) -> u32 {
        self.pair.bits()
            | (self.outcome as u32) << 24
            | (self.shape as u32) << 26
            | (self.is_high as u32) << 28
            | (self.is_open as u32) << 29
    }

    /// Returns the contact from [`Contact::packed`].
    #[inline(always)]
    #[must_use]
    pub const fn unpacked(word: u32) -> Self {
        Self {
            pair: Pair::from_bits(word),
            outcome: match word >> 24 & 3 {
                0 => Outcome::Silent,
                1 => Outcome::Refused,
                _ => Outcome::Served,
            },
            shape: Shape::of_bits(word >> 26),
            is_high: word >> 28 & 1 != 0,
            is_open: word >> 29 & 1 != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_score_that_a_contact_added_shows_its_shape() {
        for outcome in [Outcome::Silent, Outcome::Refused] {
            for shape in [Shape::Ordinary, Shape::Bare, Shape::Pattern] {
                let contact = Contact { outcome, shape, ..Contact::unpacked(0) };
                let judged = Judged { added: contact.failure().expect("a failure"), ..Judged::NOTHING };
                assert_eq!(judged.told_evidence().shape(), None, "it didn't count");
                let judged = Judged { fate: Fate::Counted, ..judged };
                assert_eq!(judged.told_evidence().shape(), Some(shape));
            }
        }
    }

    #[test]
    fn the_daemon_is_told_of_verdicts_and_of_first_failures() {
        for (verdict, fate, failed, expected) in [
            (Verdict::None, Fate::Counted, 0, true),
            (Verdict::None, Fate::Counted, 3, true),
            (Verdict::None, Fate::Counted, 4, false),
            (Verdict::None, Fate::Nothing, 2, false),
            (Verdict::None, Fate::NoRoom, 0, false),
            (Verdict::Awaited, Fate::Counted, 9, true),
            (Verdict::Report, Fate::Nothing, 9, true),
        ] {
            let evidence = Evidence { failed, ..Evidence::default() };
            let judged = Judged { verdict, fate, evidence, added: 0 };
            assert_eq!(judged.is_told(), expected, "{judged:?}");
        }
    }

    proptest! {
        #[test]
        fn a_contact_is_packed_and_unpacked(word: u32) {
            let contact = Contact::unpacked(word);
            prop_assert_eq!(Contact::unpacked(contact.packed()), contact);
        }

        #[test]
        fn a_result_is_packed_and_unpacked(
            span in 0_u32..1 << 28,
            score: i16,
            failed: u8,
            form in 0_u8..4,
            units in 0_i16..=52,
            numbers in (0_u64..4, 0_u64..3),
        ) {
            let evidence = Evidence { span, score, failed, form };
            let kinds = Judged::unpacked(numbers.0 | numbers.1 << 2);
            let judged = Judged { added: units * UNIT, evidence, ..kinds };
            prop_assert_eq!(Judged::unpacked(judged.packed()), judged);
        }
    }
}
