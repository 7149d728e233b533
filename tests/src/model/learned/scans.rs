//! The model's memory of scans, and of answers: the same tables as the kernel's.

use bytemuck::Zeroable;
use portsentry_common::{
    address::Address,
    decide::Verdict,
    environment::Environment,
    event::ScanEvent,
    judge::seconds,
    learned::Question,
    scan::{
        Contact,
        contacts::{Heard, Hearing, Judged, Scans},
        hearing,
        mark::Mark,
        memory::{self, Answered, Name, Probation, Sets, Suspects, note},
    },
};

use super::{super::Model, ends};

impl Model {
    /// Runs `change` on the sets of a source, and returns its result.
    fn in_sets<A: Address, T>(
        &self,
        key: A,
        change: impl FnOnce(&mut Suspects, &mut Probation, u32) -> T,
    ) -> T {
        let settings = &self.scenario.settings;
        let name = Name::of(key.to_mapped().halves(), settings.scan_key);
        let mut suspects = self.learned.scans.suspects.borrow_mut();
        let mut probation = self.learned.scans.probation.borrow_mut();
        let suspects = suspects.entry(name.set(settings.scan_mask)).or_insert_with(Suspects::zeroed);
        let probation = probation.entry(name.set(settings.scan_mask << 1 | 1)).or_default();
        change(suspects, probation, name.tag())
    }

    pub(super) fn remove_mark<A: Address>(&self, question: &Question<A>) -> u8 {
        self.learned.scans.marks.borrow_mut().remove(&ends(question)).unwrap_or(0)
    }

    pub(super) fn note_heard<A: Address>(&self, destination: &Heard<A>) {
        let (key, now) = (self.scenario.settings.scan_key, seconds(self.now_ns));
        let hash = hearing::destination(destination.address, destination.port, key);
        let place = hearing::place(hash, hearing::ADDRESSES);
        self.learned.scans.heard.borrow_mut().insert(place, hearing::answer(hash, now));
        if destination.port == 0 {
            let place = hearing::place(hearing::network(destination.address, key), hearing::NETWORKS);
            self.learned.scans.networks.borrow_mut().insert(place, now);
        }
    }

    pub(super) fn settle<A: Address>(&self, key: A, contact: Contact, mark: u8) {
        let (answered, now) = (Answered { contact, mark: Mark::of_bits(mark) }, seconds(self.now_ns));
        self.in_sets(key, |suspects, probation, tag| {
            let mut sets = Sets { suspects: &mut suspects.places, probation };
            memory::settle(&mut sets, tag, &answered, now);
        });
    }
}

impl<A: Address> Scans<A> for Model {
    fn note(&self, key: A, contact: &Contact, now: u32, fences: bool) -> Judged {
        let noted = self.in_sets(key, |suspects, probation, tag| {
            let mut sets = Sets { suspects: &mut suspects.places, probation };
            note(&mut sets, tag, contact, now, fences)
        });
        let mut state = self.learned.scans.state.get();
        state.note(&noted, now);
        self.learned.scans.state.set(state);
        noted.judged
    }

    type Expected = ();

    fn expect(&self, _: A) -> Option<()> {
        None
    }

    /// Every source takes the general way.
    fn admit(&self, (): (), _: &Contact, _: u32, _: i16) -> Option<Judged> {
        None
    }

    fn hear(&self, destination: &Heard<A>, now: u32) -> Hearing {
        let key = self.scenario.settings.scan_key;
        if destination.port == 0 {
            let place = hearing::place(hearing::network(destination.address, key), hearing::NETWORKS);
            let last = self.learned.scans.networks.borrow().get(&place).copied().unwrap_or(0);
            if !hearing::is_heard(last, now) {
                return Hearing::Unheard;
            }
        }
        let hash = hearing::destination(destination.address, destination.port, key);
        let mut heard = self.learned.scans.heard.borrow_mut();
        let word = heard.entry(hearing::place(hash, hearing::ADDRESSES)).or_default();
        let (hearing, new) = hearing::ask(*word, hash, now);
        *word = new;
        hearing
    }

    fn mark(&self, question: &Question<A>, mark: u8) {
        self.learned.scans.marks.borrow_mut().insert(ends(question), mark);
    }

    fn report_scan(&self, event: &ScanEvent) -> bool {
        // Of contacts without a verdict only the daemon learns.
        event.event.verdict == Verdict::Noticed as u8 || Environment::report(self, &event.event)
    }
}
