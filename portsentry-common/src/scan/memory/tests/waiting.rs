//! Contacts whose answers may still come.

use std::vec::Vec;

use proptest::prelude::*;

use super::super::*;
use crate::scan::{
    FENCE, FENCE_PAIRS, FLOOR, Pair, REFUSED, REPORT, SERVED, SILENT, Shape,
    suspect::{OPEN, period},
};

const TAG: u32 = 0x1234_5679;

/// A step of a story.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Seconds pass.
    Wait(u32),
    /// The source makes a contact.
    Contact(Contact),
    /// The failure with this number among those that count is answered.
    Answer(prop::sample::Index, Outcome),
}

/// A failure that counts.
#[derive(Clone, Copy, Debug)]
struct Failure {
    contact: Contact,
    score: i16,
    mark: u8,
    at: u32,
    is_refused: bool,
}

impl Failure {
    fn is_awaited(&self, now: u32) -> bool {
        self.contact.is_open && !self.is_refused && now - self.at < OPEN
    }
}

/// The rules, and the failures that must count by them.
struct Story {
    suspects: [Suspect; SUSPECTS],
    probation: Probation,
    failures: Vec<Failure>,
    /// Score of the served pairs.
    credit: i16,
    now: u32,
    /// The last period in which there was a verdict, or one was awaited.
    told: Option<u8>,
}

impl Story {
    fn new(now: u32) -> Self {
        Self {
            suspects: Default::default(),
            probation: Default::default(),
            failures: Vec::new(),
            credit: 0,
            now,
            told: None,
        }
    }

    fn suspect(&self) -> Option<&Suspect> {
        self.suspects.get(find(&self.suspects, TAG, self.now))
    }

    fn tell(&mut self, step: Step) {
        match step {
            Step::Wait(seconds) => self.now += seconds,
            Step::Contact(contact) => self.contact(contact),
            Step::Answer(number, outcome) => {
                if !self.failures.is_empty() {
                    let number = number.index(self.failures.len());
                    self.answer(number, outcome);
                }
            }
        }
        self.check();
    }

    fn sets(&mut self) -> Sets<'_> {
        Sets { suspects: &mut self.suspects, probation: &mut self.probation }
    }

    fn contact(&mut self, contact: Contact) {
        let now = self.now;
        let before = self.credits();
        let judged = note(&mut self.sets(), TAG, &contact, now, true).judged;
        self.credit(before);
        if judged.added != 0 {
            let score = contact.failure().expect("a failure");
            assert_eq!(judged.added, score, "a contact adds its score");
            let mark = Mark { score, period: period(now), is_open: contact.is_open }.bits();
            self.failures.push(Failure { contact, score, mark, at: now, is_refused: false });
        }
        self.judge(judged.verdict);
        if judged.verdict != Verdict::None {
            self.told = Some(period(now));
        }
        let is_pending = |suspect: &Suspect| suspect.judge_at(now + 2 * OPEN, true) != Verdict::None;
        if judged.added != 0 && self.suspect().is_some_and(is_pending) {
            assert_eq!(self.told, Some(period(now)), "nobody would judge a scan that ends now");
        }
    }

    /// Asserts that a verdict rests on failures that no answer can take back.
    fn judge(&self, verdict: Verdict) {
        let settled: Vec<_> = self.failures.iter().filter(|it| !it.is_awaited(self.now)).collect();
        let score = settled.iter().map(|it| it.score).sum::<i16>() + self.credit;
        match verdict {
            Verdict::None | Verdict::Awaited => {}
            Verdict::Report => assert!(score >= REPORT, "reported with {score}: {settled:?}"),
            Verdict::Fence => {
                assert!(score >= FENCE, "fenced with {score}: {settled:?}");
                assert!(settled.len() >= FENCE_PAIRS.into(), "fenced for {settled:?}");
            }
        }
    }

    fn answer(&mut self, number: usize, outcome: Outcome) {
        /// Longer than any answer takes, in seconds: see [`crate::learned::ANSWER_NS`].
        const LATE: u32 = 10;
        let failure = self.failures[number];
        if failure.is_refused || self.now - failure.at >= LATE {
            return;
        }
        let contact = Contact { outcome, shape: Shape::Ordinary, is_open: false, ..failure.contact };
        let answered = Answered { contact, mark: Mark::of_bits(failure.mark) };
        let (now, before) = (self.now, self.credits());
        settle(&mut self.sets(), TAG, &answered, now);
        if outcome == Outcome::Served {
            self.failures.remove(number);
        } else {
            let more = if failure.contact.outcome == Outcome::Silent { SILENT } else { REFUSED };
            let failure = &mut self.failures[number];
            failure.score -= more - REFUSED;
            failure.is_refused = true;
        }
        self.credit(before);
    }

    fn credits(&self) -> u8 {
        self.suspect().map_or(0, |it| it.credits)
    }

    fn credit(&mut self, before: u8) {
        let failed = self.failures.iter().map(|it| it.score).sum::<i16>();
        for _ in before..self.credits() {
            self.credit = (failed + self.credit + SERVED).max(FLOOR) - failed;
        }
    }

    /// Asserts that exactly the failures count that were not taken back, and that all are awaited that may be.
    fn check(&self) {
        let Some(suspect) = self.suspect() else { return };
        let score = self.failures.iter().map(|it| it.score).sum::<i16>() + self.credit;
        let high = self.failures.iter().filter(|it| it.contact.is_high).count();
        assert_eq!(usize::from(suspect.failed), self.failures.len(), "{:?}", self.failures);
        assert_eq!(usize::from(suspect.high), high, "{:?}", self.failures);
        assert_eq!(suspect.score, score, "{:?}", self.failures);
        self.judge(suspect.judge_at(self.now, true));
        if suspect.period == period(self.now) {
            let awaited = self.failures.iter().filter(|it| it.is_awaited(self.now)).count();
            let open: u8 = suspect.open.iter().map(|it| it.failed).sum();
            assert!(usize::from(open) >= awaited, "{open} of {:?}", self.failures);
        }
    }
}

fn contacts() -> impl Strategy<Value = Contact> {
    let outcomes = prop::sample::select(&[Outcome::Silent, Outcome::Refused, Outcome::Served][..]);
    let shapes = prop::sample::select(&[Shape::Ordinary, Shape::Bare, Shape::Pattern][..]);
    (0_u32..24, outcomes, shapes, any::<bool>()).prop_map(|(pair, outcome, shape, is_open)| Contact {
        pair: Pair::from_bits(pair << 12 | pair),
        outcome,
        shape,
        is_high: pair % 2 == 0,
        is_open: is_open && outcome != Outcome::Served,
    })
}

fn steps() -> impl Strategy<Value = Step> {
    let answers = prop::sample::select(&[Outcome::Served, Outcome::Refused][..]);
    prop_oneof![
        1 => (0_u32..6).prop_map(Step::Wait),
        3 => contacts().prop_map(Step::Contact),
        1 => (any::<prop::sample::Index>(), answers).prop_map(|(number, it)| Step::Answer(number, it)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn a_verdict_awaits_answers_and_an_acceptance_takes_back_what_was_added(
        start in 1_000_000_u32..1_000_064,
        steps in prop::collection::vec(steps(), 1..60),
    ) {
        let mut story = Story::new(start);
        steps.into_iter().for_each(|step| story.tell(step));
    }
}
