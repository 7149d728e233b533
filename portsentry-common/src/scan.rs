//! Scans that avoid traps: a source's first contacts, most of which fail.
//!
//! A first contact is the first SYN from a source to an address and port. Scores are in centinats: hundredths of a
//! natural logarithm of the likelihood ratio of a scanner to an honest host.

pub mod memory;
pub mod suspect;

use crate::address::Address;

/// Score of a failed first contact with an address that never answers.
pub const SILENT: i16 = 220;
/// Score of a failed first contact with a host that exists.
pub const REFUSED: i16 = 150;
/// Score of a first contact with a served port, for a source that succeeds more than twice as often as it fails.
pub const SERVED: i16 = -150;
/// Additional score of a failed SYN without TCP options.
pub const BARE: i16 = 100;
/// Additional score of a failed SYN with a known scanner's header fields.
pub const PATTERN: i16 = 200;
/// No source's score is lower.
pub const FLOOR: i16 = -300;
/// Score from which a source is reported.
pub const REPORT: i16 = 920;
/// Score from which a source is fenced, if it has [`FENCE_PAIRS`].
pub const FENCE: i16 = 1380;
/// Number of distinct failed pairs without which no source is fenced.
pub const FENCE_PAIRS: u8 = 6;

/// The outcome of a first contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No answer, from an own address or from a network whose answers are seen.
    Silent,
    /// A refusal, by a host that exists.
    Refused,
    /// The port is served.
    Served,
}

/// The shape of a SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As operating systems send it.
    Ordinary,
    /// Without TCP options.
    Bare,
    /// With a known scanner's header fields.
    Pattern,
}

/// A hash of an address and a port: 12 bits of either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair(u32);

impl Pair {
    const BITS: u32 = 12;
    const MASK: u32 = (1 << Self::BITS) - 1;

    /// Returns the hash under a secret `key`, so that no scanner can choose pairs that collide.
    #[inline(always)]
    #[must_use]
    pub fn new<A: Address>(address: A, port: u16, key: u64) -> Self {
        let mut hash = key;
        for word in address.to_mapped().words() {
            hash = mix(hash ^ u64::from(word));
        }
        let port = mix(key ^ u64::from(port) << 32);
        #[expect(clippy::cast_possible_truncation, reason = "only these bits are used")]
        Self((hash as u32 & Self::MASK) << Self::BITS | port as u32 & Self::MASK)
    }

    /// Returns the hash as a number of 24 bits.
    #[inline(always)]
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Returns the hash with these bits.
    #[inline(always)]
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & (Self::MASK << Self::BITS | Self::MASK))
    }

    /// Returns a hash of the address.
    #[inline(always)]
    #[must_use]
    pub const fn host(self) -> u32 {
        self.0 >> Self::BITS
    }

    /// Returns a hash of the port.
    #[inline(always)]
    #[must_use]
    pub const fn port(self) -> u32 {
        self.0 & Self::MASK
    }

    /// Returns the pair's bit in a set of 64. Two ports of one address, or two addresses at one port, with adjacent
    /// hashes never share a bit.
    #[inline(always)]
    #[must_use]
    pub const fn bit(self) -> u64 {
        1 << ((self.host().wrapping_mul(37) + self.port()) % 64)
    }
}

/// A first contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The address and port.
    pub pair: Pair,
    /// The outcome.
    pub outcome: Outcome,
    /// The SYN's shape.
    pub shape: Shape,
    /// Whether the port is above 1023, as those of peer-to-peer programs are.
    pub is_high: bool,
}

impl Contact {
    /// Returns the score of a failed contact, or `None` if the port is served.
    #[inline(always)]
    #[must_use]
    pub const fn failure(&self) -> Option<i16> {
        let base = match self.outcome {
            Outcome::Silent => SILENT,
            Outcome::Refused => REFUSED,
            Outcome::Served => return None,
        };
        let more = match self.shape {
            Shape::Ordinary => 0,
            Shape::Bare => BARE,
            Shape::Pattern => PATTERN,
        };
        Some(base + more)
    }
}

/// The verdict about a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Verdict {
    /// Nothing speaks for a scan.
    #[default]
    None = 0,
    /// It is reported.
    Report = 1,
    /// It is fenced.
    Fence = 2,
}

/// Mixes all bits of a word (`splitmix64`, Steele et al. 2014).
#[inline(always)]
#[must_use]
pub const fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::address::Ipv4;

    #[test]
    fn a_failure_scores_by_its_outcome_and_shape() {
        let score =
            |outcome, shape| Contact { pair: Pair::from_bits(0), outcome, shape, is_high: false }.failure();
        for (outcome, shape, expected) in [
            (Outcome::Silent, Shape::Ordinary, Some(220)),
            (Outcome::Silent, Shape::Bare, Some(320)),
            (Outcome::Silent, Shape::Pattern, Some(420)),
            (Outcome::Refused, Shape::Ordinary, Some(150)),
            (Outcome::Refused, Shape::Bare, Some(250)),
            (Outcome::Served, Shape::Ordinary, None),
            (Outcome::Served, Shape::Pattern, None),
        ] {
            assert_eq!(score(outcome, shape), expected, "{outcome:?}, {shape:?}");
        }
    }

    #[test]
    fn pairs_differ_by_address_port_and_key() {
        let address = |last| Ipv4 { octets: [192, 0, 2, last] };
        let pairs: HashSet<_> = (0..=255)
            .map(|it| Pair::new(address(it), 443, 1).bits())
            .chain([Pair::new(address(1), 22, 1).bits()])
            .collect();
        assert!(pairs.len() > 245, "{}", pairs.len());
        assert_ne!(Pair::new(address(1), 443, 1), Pair::new(address(1), 443, 2));
        let pair = Pair::new(address(1), 443, 1);
        assert_eq!(Pair::from_bits(pair.bits()), pair);
    }

    /// The set's bits of a scan of one address, or of one port, are distributed evenly.
    #[test]
    fn a_scan_soon_fills_a_set() {
        let sets = [
            (0..64)
                .map(|it| Pair::new(Ipv4 { octets: [192, 0, 2, 1] }, 1000 + it, 7))
                .fold(0, |set, pair| set | pair.bit()),
            (0..64)
                .map(|it| Pair::new(Ipv4 { octets: [192, 0, 2, it] }, 443, 7))
                .fold(0, |set, pair| set | pair.bit()),
        ];
        for set in sets {
            assert!((30..60).contains(&set.count_ones()), "{}", set.count_ones());
        }
    }
}
