//! Distributed scans: many sources that cover the addresses of a network at one port, a few each.
//!
//! Unrelated sources often contact the same addresses. Sources that share the work don't. A group counts the addresses
//! that the first [`super::MEMBER_PAIRS`] failures of each source cover in a block of [`BLOCK`] addresses, at a port and
//! by SYNs of one shape. Its score is the excess over [`chance`], in standard deviations. A group is reported with its
//! latest members. It is never fenced.
//!
//! An IPv6 network has so many addresses that random contacts never meet. But scanners count: through the last bits of
//! the address, or through the subnets with one interface identifier. Each [`View`] has blocks of its own, in which as
//! many addresses are near each other as in IPv4.

pub mod chance;
mod members;
mod target;

use bytemuck::{Pod, Zeroable};

use self::chance::Coverage;
pub use self::{
    members::{MEMBERS, Members},
    target::{Target, View},
};
use super::{Shape, mix};

/// Number of addresses in a block.
pub const BLOCK: u32 = 1 << BLOCK_BITS;
/// The bits by which the addresses of a block differ.
pub const BLOCK_BITS: u32 = 9;
/// No group is reported in a block with fewer guarded addresses.
pub const LEAST: u32 = 64;
/// Standard deviations above chance from which a group is reported.
pub const DEVIATIONS: u64 = 5;
/// Bits of [`Group::sources`] without which no group is reported: about 26 sources.
pub const SOURCES: u32 = 24;
/// Time for which contacts count if there is no verdict, in seconds.
pub const WINDOW: u32 = 7 * 86_400;
/// Time for which a verdict lasts after the last newly covered address, in seconds.
pub const TERM: u32 = 3600;
/// Places for groups in a set.
pub const GROUPS: usize = 4;

/// A group with more votes is displaced no later.
const MOST_VOTES: u16 = 1024;
/// Words of the set of sources, and its bits.
const WORDS: usize = 3;
const BITS: u32 = 192;

/// The contacts with a block at a port. All zero is a free place.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Group {
    /// The block: its first address as a number. An IPv4 address is IPv4-mapped.
    pub block: u128,
    /// The covered addresses, a bit each.
    pub once: [u64; BLOCK as usize / 64],
    /// Those with more than one contact.
    pub twice: [u64; BLOCK as usize / 64],
    /// Hashes of the sources, a bit each.
    pub sources: [u64; WORDS],
    /// Time of the first contact, in seconds.
    pub first: u32,
    /// Time of the last newly covered address, in seconds.
    pub last: u32,
    /// The port.
    pub port: u16,
    /// Number of covered addresses.
    pub covered: u16,
    /// Number of those with more than one contact.
    pub doubled: u16,
    /// What the group has over newcomers to its set. 0 is a free place.
    pub votes: u16,
    /// The [`Shape`](super::Shape).
    pub shape: u8,
    /// The [`View`].
    pub view: u8,
    /// Whether it was reported.
    pub is_found: u8,
    /// Always 0.
    pub reserved: [u8; 5],
    /// The latest sources.
    pub members: Members,
}

const _: () = assert!(size_of::<Group>() == 784);

impl Default for Group {
    fn default() -> Self {
        Self::zeroed()
    }
}

/// The result of noting a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// Nothing speaks for a distributed scan.
    Nothing,
    /// There was no place for the group.
    NoRoom,
    /// The group is to be reported.
    Found,
    /// The source belongs to a group that was reported.
    Member,
}

impl Group {
    #[inline(always)]
    fn new(target: &Target, votes: u16, now: u32) -> Self {
        let Target { block, port, shape, view, .. } = *target;
        let (shape, view) = (shape as u8, view as u8);
        Self { block, port, shape, view, votes, first: now, last: now, ..Self::zeroed() }
    }

    #[inline(always)]
    fn is_of(&self, target: &Target) -> bool {
        self.votes > 0
            && self.block == target.block
            && self.port == target.port
            && self.shape == target.shape as u8
            && self.view == target.view as u8
    }

    /// Whether the group is one that this version makes: a file may hold anything.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let bits = |words: &[u64]| words.iter().map(|it| it.count_ones()).sum::<u32>();
        let is_doubled = |(once, twice): (&u64, &u64)| once & twice == *twice;
        let limit = if self.is_v4() { u32::MAX.into() } else { u64::MAX };
        View::of(self.view).is_some_and(|view| view.is_block(self.block))
            && self.first <= self.last
            && self.shape <= Shape::Pattern as u8
            && (1..=MOST_VOTES).contains(&self.votes)
            && self.is_found <= 1
            && self.reserved == [0; 5]
            && bits(&self.once) == u32::from(self.covered)
            && bits(&self.twice) == u32::from(self.doubled)
            && self.once.iter().zip(&self.twice).all(is_doubled)
            && self.members.are_sound(limit)
    }

    /// Whether the group is one of IPv4 addresses.
    #[must_use]
    pub const fn is_v4(&self) -> bool {
        self.block >> 32 == 0xffff
    }

    /// Whether it is no longer of use at `now`.
    #[inline(always)]
    #[must_use]
    pub fn is_over(&self, now: u32) -> bool {
        if self.is_found > 0 {
            now.saturating_sub(self.last) >= TERM
        } else {
            now.saturating_sub(self.first) >= WINDOW
        }
    }

    /// Returns the votes, or 0 if the group is over: it keeps no place from others.
    #[inline(always)]
    fn votes_at(&self, now: u32) -> u16 {
        if self.is_over(now) { 0 } else { self.votes }
    }

    /// Returns how many of the group's `addresses` its sources have tried, once and twice.
    #[inline(always)]
    #[must_use]
    pub const fn coverage(&self, addresses: u32) -> Coverage {
        Coverage { addresses, covered: self.covered as u32, doubled: self.doubled as u32 }
    }

    /// Returns the approximate number of sources.
    #[must_use]
    pub fn count_sources(&self) -> u32 {
        // As many as fill so many places on average.
        (0..self.filled()).map(|filled| (256 * BITS).div_ceil(BITS - filled)).sum::<u32>() / 256
    }

    #[inline(always)]
    fn filled(&self) -> u32 {
        self.sources.iter().map(|it| it.count_ones()).sum()
    }

    /// Adds a contact of `source` with the address at `place`, of `addresses` that are guarded.
    #[inline(always)]
    fn add(&mut self, target: &Target, source: u64, addresses: u32, now: u32) -> Noted {
        self.votes = (self.votes + 1).min(MOST_VOTES);
        let hash = mix(source) >> 32;
        let bit = ((hash * u64::from(BITS)) >> 32) as usize;
        self.sources[bit / 64] |= 1 << (bit % 64);
        self.members.add(source);
        let (word, bit) = (target.place as usize / 64 % self.once.len(), 1 << (target.place % 64));
        if self.once[word] & bit == 0 {
            self.once[word] |= bit;
            self.covered += 1;
            self.last = now;
        } else if self.twice[word] & bit == 0 {
            self.twice[word] |= bit;
            self.doubled += 1;
        }
        if self.is_found > 0 {
            return Noted::Member;
        }
        self.judge(target, addresses, now)
    }

    fn confirm(&mut self, view: View, addresses: u32, has_answered: impl Fn(u128) -> bool) -> bool {
        for place in 0..BLOCK {
            let (word, bit) = (place as usize / 64, 1 << (place % 64));
            if self.once[word] & bit != 0 && has_answered(view.address(self.block, place)) {
                self.covered -= 1;
                self.doubled -= u16::from(self.twice[word] & bit != 0);
                self.once[word] &= !bit;
                self.twice[word] &= !bit;
            }
        }
        let is_found = self.coverage(addresses.min(BLOCK)).exceeds_chance(DEVIATIONS);
        self.is_found = is_found.into();
        is_found
    }

    #[inline(always)]
    fn judge(&mut self, target: &Target, addresses: u32, now: u32) -> Noted {
        let addresses = addresses.min(BLOCK);
        if addresses < LEAST {
            return Noted::Nothing;
        }
        let coverage = self.coverage(addresses);
        if self.filled() >= SOURCES && coverage.exceeds_chance(DEVIATIONS) {
            self.is_found = 1;
            return Noted::Found;
        }
        // At each eighth: unrelated sources must not fill the block before a scan begins.
        if self.last == now && u32::from(self.covered) % (addresses / 8) == 0 && coverage.is_chance() {
            *self = Self::new(target, self.votes, now);
        }
        Noted::Nothing
    }
}

/// The table of groups. The number of sets is a power of two.
#[derive(Debug)]
pub struct Groups<'table> {
    /// The groups.
    pub sets: &'table mut [[Group; GROUPS]],
    /// A secret, so that nobody can choose the sets that it fills.
    pub key: u64,
}

impl Groups<'_> {
    /// Takes back the contacts with addresses that have answered since, of a group that is to be reported and of whose
    /// addresses so many are guarded. Returns whether it still is.
    pub fn confirm(&mut self, target: &Target, addresses: u32, has_answered: impl Fn(u128) -> bool) -> bool {
        let set = self.set_of(target);
        let group = self.sets[set].iter_mut().find(|it| it.is_of(target));
        group.is_some_and(|group| group.confirm(target.view, addresses, has_answered))
    }

    /// Returns the group of a target.
    #[must_use]
    pub fn find(&self, target: &Target) -> Option<&Group> {
        self.sets[self.set_of(target)].iter().find(|it| it.is_of(target))
    }

    /// Puts a group of an earlier run into its set, if it isn't over and there is a place.
    pub fn restore(&mut self, group: &Group, now: u32) {
        let set = self.set(group.block, group.port, group.shape);
        if let Some(place) = self.sets[set].iter_mut().min_by_key(|it| it.votes_at(now))
            && place.votes_at(now) < group.votes_at(now)
        {
            *place = *group;
        }
    }

    /// Notes one of the first [`super::MEMBER_PAIRS`] failed pairs of `source`, each once. Of the target's block,
    /// `addresses` are guarded.
    pub fn note(&mut self, target: &Target, source: u64, addresses: u32, now: u32) -> Noted {
        let set = self.set_of(target);
        let set = &mut self.sets[set];
        if let Some(group) = set.iter_mut().find(|it| it.is_of(target)) {
            if group.is_over(now) {
                *group = Group::new(target, group.votes, now);
            }
            return group.add(target, source, addresses, now);
        }
        let Some(group) = set.iter_mut().min_by_key(|it| it.votes_at(now)) else { return Noted::NoRoom };
        // The busiest groups stay (Misra and Gries 1982): a flood of ports displaces none of them.
        group.votes = group.votes_at(now).saturating_sub(1);
        if group.votes > 0 {
            return Noted::NoRoom;
        }
        *group = Group::new(target, 0, now);
        group.add(target, source, addresses, now)
    }

    #[inline(always)]
    fn set_of(&self, target: &Target) -> usize {
        self.set(target.block, target.port, target.shape as u8)
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the halves of a number")]
    fn set(&self, block: u128, port: u16, shape: u8) -> usize {
        let [high, low] = [(block >> 64) as u64, block as u64];
        let hash = mix(mix(self.key ^ high) ^ low);
        let hash = mix(hash ^ u64::from(port) << 8 ^ u64::from(shape));
        (hash >> 32) as usize & (self.sets.len() - 1)
    }
}

#[cfg(test)]
mod tests;
