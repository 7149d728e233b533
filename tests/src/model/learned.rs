//! The model's memory of questions and learned ports, and its judgement of answers.

mod scans;

use std::net::{IpAddr, SocketAddr};

use portsentry_common::{
    address::{Address, Ipv4, Ipv6},
    answered::{Answering, Learning, answer, learn},
    counter::Counter,
    environment::{Environment, FamilyMaps, Locality, Relation},
    failures::Failures,
    learned::{Learned, Question},
    scan::{Contact, contacts::Heard},
    settings::Settings,
};

use super::{Model, ip::ip, memory::Port};
use crate::outcome::grown;

impl Model {
    /// Judges a frame that this host sends. Returns whether it leaves, and the names of the counters that grew.
    pub fn leave(&mut self, frame: &[u8], is_forwarded: bool) -> (bool, Vec<&'static str>) {
        const ETHERNET: usize = 14;
        let packet = &frame[ETHERNET..];
        let before = *self.counters.borrow();
        if !is_forwarded {
            return (true, Vec::new());
        }
        let is_withheld = match frame[12..ETHERNET] {
            [0x08, 0] => self.leaves::<Ipv4>(packet),
            [0x86, 0xdd] => self.leaves::<Ipv6>(packet),
            _ => false,
        };
        (!is_withheld, grown(&before, &self.counters.borrow()))
    }

    fn leaves<A: Answering>(&self, packet: &[u8]) -> bool {
        let learns = self.scenario.settings.learns();
        answer::<A, &[u8]>(packet)
            .filter(|_| learns)
            .is_some_and(|(answer, question)| learn(answer, &question, self).is_withheld)
    }

    fn with_failures(&self, key: IpAddr, count: fn(&mut Failures, u32, u64, u64) -> u32, pair: u32) -> u32 {
        let mut failures = self.learned.failures.borrow_mut();
        let failures = failures.entry(key).or_insert(Failures::NONE);
        count(failures, pair, self.now_ns, self.scenario.settings.tally_ns)
    }

    fn failures_of(&self, key: IpAddr) -> u32 {
        let failures = self.learned.failures.borrow();
        failures.get(&key).map_or(0, |failures| failures.number(self.now_ns, self.scenario.settings.tally_ns))
    }
}

fn port<A: Address>(question: &Question<A>) -> Port {
    (question.protocol, SocketAddr::new(ip(question.destination), question.port))
}

fn ends<A: Address>(question: &Question<A>) -> (SocketAddr, Port) {
    (SocketAddr::new(ip(question.source), question.source_port), port(question))
}

impl<A: Address> Learned<A> for Model {
    fn ask(&self, question: &Question<A>) {
        self.learned.asked.borrow_mut().insert(ends(question));
    }

    fn has_answered(&self, question: &Question<A>, _: u64) -> bool {
        self.learned.served.borrow().contains(&port(question))
    }

    fn has_refused(&self, question: &Question<A>) -> bool {
        self.learned.refused.borrow().contains(&port(question))
    }

    fn suspect(&self, key: A, pair: u32, _: u64) -> u32 {
        self.with_failures(ip(key), Failures::suspect, pair)
    }

    fn failures(&self, key: A, _: u64) -> u32 {
        self.failures_of(ip(key))
    }

    fn forget_failures(&self, key: A) {
        self.learned.failures.borrow_mut().remove(&ip(key));
    }
}

impl<A: Address> Learning<A> for Model {
    fn settings(&self) -> &Settings {
        &self.scenario.settings
    }

    fn is_enforced(&self) -> bool {
        self.scenario.settings.is_enforced(self.now_ns, 0)
    }

    fn count(&self, counter: Counter) {
        Environment::count(self, counter);
    }

    fn locality(&self, address: A) -> Locality {
        FamilyMaps::locality(self, address)
    }

    fn relation(&self, source: A) -> Relation {
        FamilyMaps::relation(self, source)
    }

    fn take(&self, question: &Question<A>) -> bool {
        self.learned.asked.borrow_mut().remove(&ends(question))
    }

    fn take_mark(&self, question: &Question<A>) -> u8 {
        self.remove_mark(question)
    }

    fn heard(&self, destination: &Heard<A>) {
        self.note_heard(destination);
    }

    fn settle_contact(&self, key: A, contact: &Contact, mark: u8) {
        self.settle(key, *contact, mark);
    }

    fn has_answered(&self, question: &Question<A>) -> bool {
        Learned::has_answered(self, question, self.now_ns)
    }

    fn accept(&self, question: &Question<A>) {
        self.learned.refused.borrow_mut().remove(&port(question));
        if self.learned.served.borrow_mut().insert(port(question)) {
            Environment::count(self, Counter::LearnedServed);
        }
    }

    fn refuse(&self, question: &Question<A>) {
        if self.learned.refused.borrow_mut().insert(port(question)) {
            Environment::count(self, Counter::LearnedRefused);
        }
    }

    fn fail(&self, key: A, pair: u32) -> u32 {
        self.with_failures(ip(key), Failures::refuse, pair)
    }

    fn succeed(&self, key: A, pair: u32) -> u32 {
        if let Some(failures) = self.learned.failures.borrow_mut().get_mut(&ip(key)) {
            let settings = &self.scenario.settings;
            failures.accept(pair, self.now_ns, settings.tally_ns, settings.served_credit());
        }
        self.failures_of(ip(key))
    }

    fn converse(&self, key: A, pair: u32) {
        if let Some(failures) = self.learned.failures.borrow_mut().get_mut(&ip(key)) {
            let settings = &self.scenario.settings;
            failures.converse(pair, self.now_ns, settings.tally_ns, settings.served_credit());
        }
    }

    fn failures(&self, key: A) -> u32 {
        self.failures_of(ip(key))
    }

    fn is_fenced(&self, source: A, key: A) -> bool {
        self.fence_of(&source, &key, true).is_some()
    }
}
