//! What other hosts' answers have shown about their ports.

use portsentry_common::{
    address::Address,
    failures::Failures,
    learned::{Learned, PortKey, Question, SERVED_NS},
};

use super::{DryRun, Fact, ip};
use crate::kernel::learned::{FAILURES, REFUSED, SERVED};

const KEY: usize = size_of::<PortKey>();

impl DryRun {
    /// Returns the time of the port's entry in a map of learned ports.
    fn learned_ns<A: Address>(&self, map: &'static str, question: &Question<A>) -> Option<u64> {
        let Question { destination, port, protocol, .. } = question;
        let key = PortKey::new(destination.to_mapped().halves(), *port, *protocol as u8);
        let octets: [u8; KEY] = bytemuck::cast(key);
        let raw: Option<[u8; 8]> = self.known(self.maps.entry(map, octets));
        raw.map(u64::from_ne_bytes)
    }

    fn failures_of<A: Address>(&self, key: A) -> Failures {
        if let Some(failures) = self.changes.borrow().failures.get(&ip(key)) {
            return *failures;
        }
        let octets: [u8; 16] = key.to_mapped().octets;
        let raw: Option<[u8; size_of::<Failures>()]> = self.known(self.maps.entry(FAILURES, octets));
        raw.map_or(Failures::NONE, |raw| bytemuck::pod_read_unaligned(&raw))
    }
}

impl<A: Address> Learned<A> for DryRun {
    fn ask(&self, _: &Question<A>) {}

    fn has_answered(&self, question: &Question<A>, now_ns: u64) -> bool {
        let answered = self.learned_ns(SERVED, question);
        let is_served = answered.is_some_and(|answered_ns| now_ns.saturating_sub(answered_ns) < SERVED_NS);
        if is_served {
            self.note(Fact::LearnedServed);
        }
        is_served
    }

    fn has_refused(&self, question: &Question<A>) -> bool {
        let is_refused = self.learned_ns(REFUSED, question).is_some();
        if is_refused {
            self.note(Fact::LearnedRefused);
        }
        is_refused
    }

    fn suspect(&self, key: A, pair: u32, now_ns: u64) -> u32 {
        let mut failures = self.failures_of(key);
        let number = failures.suspect(pair, now_ns, self.settings.tally_ns);
        self.changes.borrow_mut().failures.insert(ip(key), failures);
        self.note(Fact::Failures(number));
        number
    }

    fn failures(&self, key: A, now_ns: u64) -> u32 {
        let number = self.failures_of(key).number(now_ns, self.settings.tally_ns);
        if number > 0 {
            self.note(Fact::Failures(number));
        }
        number
    }

    fn forget_failures(&self, key: A) {
        self.changes.borrow_mut().failures.insert(ip(key), Failures::NONE);
    }
}
