//! The record of a suspect, a source with at least two failed pairs.

use bytemuck::{Pod, Zeroable};

use super::{Contact, FENCE, FENCE_PAIRS, FLOOR, MEMBER, MEMBER_PAIRS, Pair, REPORT, SERVED, Verdict};

/// Number of served pairs that may lower a score. More would let a scanner pay with known services for as long as it
/// likes.
const CREDITS: u8 = 6;
/// Number of failures from which the numbers of addresses and ports tell a peer-to-peer program from a scan of a few
/// ports. With fewer, too many programs have few of either by chance.
const PEER_PAIRS: u8 = 24;

/// A suspect, in half a cache line. All zero is a free place.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Suspect {
    /// The failed pairs, three bits each: see [`Pair::marks`].
    pub pairs: u64,
    /// A hash of the source; never 0.
    pub tag: u32,
    /// Time of the first contact, in seconds.
    pub first: u32,
    /// Time of the last new pair, in seconds.
    pub last: u32,
    /// The score in centinats.
    pub score: i16,
    /// Hashes of the addresses, a bit each.
    pub hosts: u16,
    /// Hashes of the ports, a bit each.
    pub ports: u16,
    /// Hashes of the served pairs, a bit each. They are no part of `pairs`, which a scanner could otherwise fill with
    /// known services.
    pub services: u16,
    /// Number of distinct failed pairs.
    pub failed: u8,
    /// Number of served pairs that have lowered the score.
    pub credits: u8,
    /// The gravest [`Verdict`] so far.
    pub verdict: u8,
    /// Number of distinct failed pairs with a port above 1023.
    pub high: u8,
}

const _: () = assert!(size_of::<Suspect>() == 32);

impl Suspect {
    /// Returns the suspect with a first pair.
    #[inline(always)]
    #[must_use]
    pub fn new(tag: u32, contact: &Contact, now: u32) -> Self {
        let mut suspect = Self { tag, first: now, last: now, ..Self::default() };
        suspect.add(contact, now);
        suspect
    }

    /// Adds a first contact. Returns the verdict if it is graver than before.
    #[inline(always)]
    pub fn add(&mut self, contact: &Contact, now: u32) -> Verdict {
        let Some(score) = contact.failure() else {
            self.succeed(contact.pair);
            return Verdict::None;
        };
        if self.knows(contact.pair) {
            return Verdict::None;
        }
        self.pairs |= contact.pair.marks();
        self.last = now;
        self.failed = self.failed.saturating_add(1);
        self.high = self.high.saturating_add(u8::from(contact.is_high));
        self.hosts |= 1 << (contact.pair.host() % 16);
        self.ports |= 1 << (contact.pair.port() % 16);
        let is_member = contact.is_member && self.failed <= MEMBER_PAIRS;
        self.score = self.score.saturating_add(score + if is_member { MEMBER } else { 0 });
        self.judge()
    }

    fn succeed(&mut self, pair: Pair) {
        let services = self.services | 1 << (pair.host().wrapping_mul(37).wrapping_add(pair.port()) % 16);
        if services == self.services {
            return;
        }
        self.services = services;
        if self.credits < CREDITS && services.count_ones() > 2 * u32::from(self.failed) {
            self.credits += 1;
            self.score = (self.score + SERVED).max(FLOOR);
        }
    }

    fn judge(&mut self) -> Verdict {
        let verdict = if self.score >= FENCE && self.failed >= FENCE_PAIRS && !self.is_peer() {
            Verdict::Fence
        } else if self.score >= REPORT {
            Verdict::Report
        } else {
            Verdict::None
        };
        if verdict as u8 <= self.verdict {
            return Verdict::None;
        }
        self.verdict = verdict as u8;
        verdict
    }

    /// Whether the failures are those of a peer-to-peer program: each address at another high port. Such a source is
    /// only reported.
    #[inline(always)]
    #[must_use]
    pub const fn is_peer(&self) -> bool {
        let [hosts, ports] = [self.hosts.count_ones(), self.ports.count_ones()];
        let are_many = hosts > 1 && ports > 1;
        let are_alike = 5 * hosts > 2 * ports && 5 * ports > 2 * hosts;
        self.high == self.failed && are_many && (self.failed < PEER_PAIRS || are_alike)
    }

    /// Whether most failures are at one port, or at a few ports of many addresses.
    #[inline(always)]
    #[must_use]
    pub const fn is_sweep(&self) -> bool {
        self.hosts.count_ones() > 2 * self.ports.count_ones()
    }

    /// Whether this pair failed before, or others have set its bits.
    #[inline(always)]
    #[must_use]
    pub const fn knows(&self, pair: Pair) -> bool {
        let marks = pair.marks();
        self.pairs & marks == marks
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::{
        address::Ipv4,
        scan::{Outcome, Shape, mix},
    };

    fn contact(number: u8, outcome: Outcome, shape: Shape) -> Contact {
        Contact { pair: Pair::from_bits(u32::from(number)), outcome, shape, is_high: false, is_member: false }
    }

    fn pair(host: u8, port: u16) -> Pair {
        Pair::new(Ipv4 { octets: [192, 0, 2, host] }, port, 3)
    }

    /// Returns the suspect whose first contacts with these pairs met silence.
    fn suspect_of(pairs: &mut dyn Iterator<Item = Pair>, is_high: bool) -> Suspect {
        let mut suspect = Suspect::default();
        for pair in pairs {
            let (outcome, shape) = (Outcome::Silent, Shape::Ordinary);
            suspect.add(&Contact { pair, outcome, shape, is_high, is_member: false }, 0);
        }
        suspect
    }

    #[test]
    fn the_number_of_failures_up_to_each_verdict() {
        for (outcome, shape, report, fence) in [
            (Outcome::Silent, Shape::Ordinary, 5, 7),
            (Outcome::Silent, Shape::Bare, 3, 6),
            (Outcome::Silent, Shape::Pattern, 3, 6),
            (Outcome::Refused, Shape::Ordinary, 7, 10),
            (Outcome::Refused, Shape::Bare, 4, 6),
        ] {
            let mut suspect = Suspect::new(1, &contact(0, outcome, shape), 0);
            let verdicts: Vec<_> = (1..12).map(|it| suspect.add(&contact(it, outcome, shape), 0)).collect();
            let first = |verdict| 2 + verdicts.iter().position(|it| *it == verdict).expect("a verdict");
            assert_eq!(
                (first(Verdict::Report), first(Verdict::Fence)),
                (report, fence),
                "{outcome:?} {shape:?}"
            );
            assert_eq!(verdicts.iter().filter(|it| **it != Verdict::None).count(), 2, "each once");
        }
    }

    #[test]
    fn a_repeated_pair_counts_once() {
        let one = contact(1, Outcome::Silent, Shape::Pattern);
        let mut suspect = Suspect::new(1, &one, 0);
        assert!((0..1000).all(|now| suspect.add(&one, now) == Verdict::None));
        assert_eq!((suspect.failed, suspect.last), (1, 0));
    }

    #[test]
    fn services_lower_the_score_of_those_who_mostly_succeed() {
        let mut suspect = Suspect::new(1, &contact(0, Outcome::Silent, Shape::Ordinary), 0);
        for number in 1..=2 {
            suspect.add(&contact(number, Outcome::Served, Shape::Ordinary), 0);
        }
        assert_eq!(suspect.score, 220, "twice as often is not more");
        for number in 3..40 {
            suspect.add(&contact(number, Outcome::Served, Shape::Ordinary), 0);
            assert!(suspect.score >= FLOOR);
        }
        assert_eq!(suspect.credits, CREDITS);
    }

    /// A scanner that mixes in as many known services as it likes needs at most twice the failures.
    #[test]
    fn known_services_gain_a_scanner_a_factor_of_two() {
        for services in 0..20 {
            let mut suspect = Suspect::default();
            let mut known = (64..80).cycle();
            let failures = (0..64).position(|number| {
                for number in known.by_ref().take(services) {
                    suspect.add(&contact(number, Outcome::Served, Shape::Ordinary), 0);
                }
                suspect.add(&contact(number, Outcome::Silent, Shape::Ordinary), 0) == Verdict::Fence
            });
            assert!(failures.is_some_and(|before| before < 14), "{failures:?} with {services} services each");
        }
    }

    #[test]
    fn a_peer_to_peer_program_is_only_reported() {
        let verdict = |pairs: &mut dyn Iterator<Item = Pair>| suspect_of(pairs, true).verdict;
        assert_eq!(
            verdict(&mut (0..40).map(|it| pair(it, 6881 + 997 * u16::from(it)))),
            Verdict::Report as u8
        );
        assert_eq!(verdict(&mut (0..40).map(|host| pair(host, 8080))), Verdict::Fence as u8, "a sweep");
        assert_eq!(
            verdict(&mut (0..40).map(|it| pair(1, 8000 + it))),
            Verdict::Fence as u8,
            "a scan of a host"
        );
    }

    /// Random addresses and ports often share the bits of `hosts` or of `ports`. That fences no peer-to-peer program.
    #[test]
    fn chance_fences_no_peer_to_peer_program() {
        for key in 0..20_000 {
            let mut peers = (0..40).map(|it| {
                let random = mix(key << 32 | it);
                let [host, ports @ ..] = random.to_be_bytes();
                let port = 1024 + u16::from_be_bytes([ports[0], ports[1]]) % 60_000;
                pair(host, port)
            });
            assert_ne!(suspect_of(&mut peers, true).verdict, Verdict::Fence as u8, "{key}");
        }
    }

    /// Membership of a distributed scan reports a source with three failures, and fences none with less than six.
    #[test]
    fn membership_fences_no_source_by_itself() {
        for (outcome, failures, [alone, member]) in [
            (Outcome::Silent, 3, [Verdict::None, Verdict::Report]),
            (Outcome::Silent, 5, [Verdict::Report, Verdict::Report]),
            (Outcome::Silent, 6, [Verdict::Report, Verdict::Fence]),
            (Outcome::Refused, 4, [Verdict::None, Verdict::None]),
            (Outcome::Refused, 7, [Verdict::Report, Verdict::Report]),
            (Outcome::Refused, 8, [Verdict::Report, Verdict::Fence]),
            (Outcome::Silent, 1, [Verdict::None, Verdict::None]),
        ] {
            for (is_member, expected) in [(false, alone), (true, member)] {
                let mut suspect = Suspect::default();
                for number in 0..failures {
                    let contact = Contact { is_member, ..contact(number, outcome, Shape::Ordinary) };
                    suspect.add(&contact, 0);
                }
                assert_eq!(suspect.verdict, expected as u8, "{outcome:?}, {failures}, {is_member}");
            }
        }
    }

    #[test]
    fn a_sweep_has_many_addresses_and_a_scan_many_ports() {
        let suspect = |pairs: &mut dyn Iterator<Item = Pair>| suspect_of(pairs, false);
        assert!(suspect(&mut (0..20).map(|host| pair(host, 445))).is_sweep());
        assert!(!suspect(&mut (0..20).map(|port| pair(1, port))).is_sweep());
    }
}
