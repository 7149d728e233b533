//! Scans that avoid traps: a source's first contacts, most of which fail.
//!
//! A first contact is the first SYN from a source to an address and port. Scores are in centinats: hundredths of a
//! natural logarithm of the likelihood ratio of a scanner to an honest host.

pub mod contacts;
pub mod group;
pub mod hearing;
pub mod mark;
pub mod memory;
pub mod state;
pub mod suspect;

use bytemuck::{Pod, Zeroable};

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
/// Additional score of each of a source's first [`MEMBER_PAIRS`] failures that belongs to a distributed scan.
pub const MEMBER: i16 = 100;
/// Number of failures that a distributed scan makes worse. From the next one on a source is judged by itself.
pub const MEMBER_PAIRS: u8 = 3;
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

/// `ZMap`'s identification in the IPv4 header.
pub const ZMAP: u16 = 54_321;

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

impl Shape {
    /// Returns the shape of a SYN whose TCP header has `words` words of four bytes, and announces this window. `is_known`
    /// says that another field is a known scanner's: [`ZMAP`], or the destination's address as Mirai's sequence number.
    #[inline(always)]
    #[must_use]
    pub const fn of(words: u8, window: u16, is_known: bool) -> Self {
        /// nmap's lowest window, and masscan's. Stacks announce at least one segment's size.
        const WINDOW: u16 = 1024;
        if is_known || window == WINDOW && words <= 6 {
            Self::Pattern
        } else if words <= 5 {
            Self::Bare
        } else {
            Self::Ordinary
        }
    }

    /// Returns the shape whose number these two bits are.
    #[inline(always)]
    #[must_use]
    pub const fn of_bits(bits: u32) -> Self {
        match bits & 3 {
            0 => Self::Ordinary,
            1 => Self::Bare,
            _ => Self::Pattern,
        }
    }
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
        Self::with(address, port, [key, Self::begin(key)])
    }

    /// Returns the hash's state after the words that all IPv4 addresses have in common.
    #[must_use]
    pub const fn begin(key: u64) -> u64 {
        mix(mix(mix(key)) ^ 0xffff_u32.to_be() as u64)
    }

    /// Does the same as [`Self::new`], given also the key's [`Self::begin`].
    #[inline(always)]
    #[must_use]
    pub fn with<A: Address>(address: A, port: u16, [key, begun]: [u64; 2]) -> Self {
        let words = address.to_mapped().words();
        let skipped = if A::VERSION == 4 { 3 } else { 0 };
        let mut hash = if A::VERSION == 4 { begun } else { key };
        for word in &words[skipped..] {
            hash = mix(hash ^ u64::from(*word));
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

    /// Returns the pair's three bits in a set of 64. Of the first seven pairs of a source, one in twenty-five seems
    /// known because their bits are set; with one bit each it would be one in three.
    #[inline(always)]
    #[must_use]
    pub const fn marks(self) -> u64 {
        // Knuth's multiplicative hash, whose upper bits are the mixed ones.
        let mixed = self.0.wrapping_mul(0x9e37_79b1);
        1 << (mixed >> 26) | 1 << (mixed >> 20 & 63) | 1 << (mixed >> 14 & 63)
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
    /// Whether an answer may still come. The contact counts as failed, but no verdict rests on it until it is
    /// [`suspect::OPEN`] seconds old, or is refused.
    pub is_open: bool,
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

/// The evidence against a source.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Evidence {
    /// Seconds from the first to the last failed pair.
    pub span: u32,
    /// The score in centinats.
    pub score: i16,
    /// Number of distinct failed pairs, at most 255.
    pub failed: u8,
    /// [`Evidence::SWEEP`] and [`Evidence::PEER`], and in a record for the daemon [`Evidence::FIRST`].
    pub form: u8,
}

impl Evidence {
    /// Bit of [`Evidence::form`]: most failures are at one port, or at a few ports of many addresses. Otherwise the scan
    /// is a slow one, or one of many ports.
    pub const SWEEP: u8 = 1;
    /// Bit of [`Evidence::form`]: as many high ports as addresses, like a peer-to-peer program. Such a source is only
    /// reported.
    pub const PEER: u8 = 2;

    /// Position of the number of a SYN's [`Shape`] in [`Evidence::form`].
    pub const SHAPE_SHIFT: u32 = 2;
    /// Bit of [`Evidence::form`]: the contact is one of the first [`MEMBER_PAIRS`] failures of its source.
    pub const FIRST: u8 = 16;

    /// Returns the shape of the contact's SYN, if it is one of the first failures of its source.
    #[must_use]
    pub const fn shape(&self) -> Option<Shape> {
        if self.form & Self::FIRST == 0 {
            return None;
        }
        Some(Shape::of_bits((self.form >> Self::SHAPE_SHIFT) as u32))
    }

    /// Whether the source sweeps few ports of many addresses.
    #[must_use]
    pub const fn is_sweep(&self) -> bool {
        self.form & Self::SWEEP != 0
    }

    /// Whether the source looks like a peer-to-peer program.
    #[must_use]
    pub const fn is_peer(&self) -> bool {
        self.form & Self::PEER != 0
    }
}

/// The verdict about a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Verdict {
    /// Nothing speaks for a scan.
    #[default]
    None = 0,
    /// A graver verdict follows unless answers to the failures come. No record has this verdict.
    Awaited = 1,
    /// It is reported.
    Report = 2,
    /// It is fenced.
    Fence = 3,
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
        let score = |outcome, shape| {
            Contact { pair: Pair::from_bits(0), outcome, shape, is_high: false, is_open: false }.failure()
        };
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

    /// How often a pair of a scan seems known although it isn't: too often, and scanners are found late.
    #[test]
    fn few_pairs_of_a_scan_seem_known() {
        let address = |last| Ipv4 { octets: [192, 0, 2, last] };
        let seem_known = |pairs: &mut dyn Iterator<Item = Pair>| {
            let mut set = 0_u64;
            pairs
                .filter(|pair| {
                    let marks = pair.marks();
                    let is_known = set & marks == marks;
                    set |= marks;
                    is_known
                })
                .count()
        };
        let (ports, hosts): (usize, usize) = (0..1000)
            .map(|key| {
                let ports = seem_known(&mut (0..7).map(|it| Pair::new(address(1), 1000 + it, key)));
                (ports, seem_known(&mut (0..7).map(|it| Pair::new(address(it), 443, key))))
            })
            .fold((0, 0), |(ports, hosts), (more, others)| (ports + more, hosts + others));
        assert!(ports < 80 && hosts < 80, "{ports} of a host's ports, {hosts} hosts, of 7000");
    }
}
