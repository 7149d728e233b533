//! The bounded memory of first contacts. No flood can displace its entries before their time.
//!
//! A source with one failed pair is on probation: 8 bytes, eight places in a cache line. With the second pair it
//! becomes a [`Suspect`]: 40 bytes, four places in a set. An entry keeps its place for its term. A newcomer
//! takes a free place, or else the place whose term has been over for the longest time. If there is none, it is
//! counted, and takes its set's last place, which has no term: the next one displaces it. Thus a flood of spoofed sources
//! freezes the memory instead of flushing it, and a fast scanner is found beside it.

use bytemuck::{Pod, Zeroable};

use super::{Contact, Outcome, Pair, Verdict, mix, suspect::Suspect};

/// Term of a source on probation, in seconds.
pub const PROBATION: u32 = 15 * 60;
/// Term of a suspect after its last new pair, in seconds.
pub const SUSPICION: u32 = 60 * 60;
/// Term of a suspect with a verdict, in seconds: it outlives the fence.
pub const CONVICTION: u32 = 24 * 60 * 60;
/// Age at which an entry counts for nothing, even if nobody needed its place, in seconds.
pub const OLDEST: u32 = 24 * 60 * 60;

/// Places on probation in a set.
pub const ENTRANTS: usize = 8;
/// Places for suspects in a set.
pub const SUSPECTS: usize = 4;

/// Seconds in a tick of the time on probation.
const TICK: u32 = 8;
/// Bits of an entry on probation: 24 of a tag, 24 of a pair, 16 of a time in ticks.
const TAG_SHIFT: u32 = 40;
const PAIR_SHIFT: u32 = 16;
const TIME: u64 = 0xffff;

/// Sources on probation, in a cache line. 0 is a free place.
pub type Probation = [u64; ENTRANTS];

/// The result of noting a first contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// The source succeeded, or its pair was known.
    Nothing,
    /// The source is on probation from now on.
    Enters,
    /// The source became a suspect, or was one. The verdict is other than [`Verdict::None`] if it is graver than
    /// before.
    Suspected(Verdict),
    /// There was no place for it, but perhaps one without a term.
    NoRoom,
}

/// The two tables. The numbers of sets are powers of two.
#[derive(Debug)]
pub struct Memory<'table> {
    /// Sources with one failed pair.
    pub probation: &'table mut [Probation],
    /// Sources with more.
    pub suspects: &'table mut [[Suspect; SUSPECTS]],
    /// A secret, so that no flood can choose the sets that it fills.
    pub key: u64,
}

impl Memory<'_> {
    /// Notes a first contact of `source`, at `now` in seconds.
    pub fn note(&mut self, source: u64, contact: &Contact, now: u32) -> Noted {
        let name = Name::new(source, self.key);
        let (suspects, probation) = (place(self.suspects, name), place(self.probation, name));
        note(suspects, probation, name.tag(), contact, now).noted
    }
}

/// Returns the number of sets of suspects that fit into a memory of this many bytes: a power of two, at least
/// [`FEWEST`]. There are twice as many sets on probation.
#[must_use]
pub fn sets_in(bytes: u64) -> u32 {
    const SET: usize = size_of::<Suspects>() + 2 * size_of::<Probation>();
    let sets = u32::try_from(bytes / SET as u64).unwrap_or(u32::MAX).max(FEWEST);
    1 << sets.ilog2()
}

/// The smallest number of sets.
pub const FEWEST: u32 = 1 << 8;

/// A set of suspects in the kernel's memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Suspects {
    /// 1 while a CPU changes the set, or the sets on probation that lead to it.
    pub lock: u64,
    /// The places.
    pub places: [Suspect; SUSPECTS],
}

/// A hash of a source, which determines its sets and its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name(u64);

impl Name {
    /// Returns the hash of a source's number under a secret `key`.
    #[inline(always)]
    #[must_use]
    pub const fn new(source: u64, key: u64) -> Self {
        Self(mix(source ^ key))
    }

    /// Returns the hash of the source with this address, or of its network's first address.
    #[inline(always)]
    #[must_use]
    pub const fn of([high, low]: [u64; 2], key: u64) -> Self {
        Self::new(high ^ mix(low), key)
    }

    /// Returns the number of the source's set, given the number of sets, a power of two, less one.
    #[inline(always)]
    #[must_use]
    pub const fn set(self, mask: u32) -> u32 {
        (self.0 >> 32) as u32 & mask
    }

    /// Returns the tag, which is never 0.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a part of the hash is enough")]
    pub const fn tag(self) -> u32 {
        self.0 as u32 | 1
    }
}

/// The result of [`note`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// What became of the contact.
    pub noted: Noted,
    /// The suspect's place, if it is one.
    pub place: usize,
    /// The score that the contact added, or 0 if it added none.
    pub added: i16,
    /// Age of the entry on probation that the source displaced, or 0.
    pub displaced: u32,
}

/// Notes a first contact, at `now` in seconds, in the sets of its source, which has this tag.
#[inline(always)]
pub fn note(
    suspects: &mut [Suspect; SUSPECTS],
    probation: &mut Probation,
    tag: u32,
    contact: &Contact,
    now: u32,
) -> Note {
    let other = |noted| Note { noted, place: 0, added: 0, displaced: 0 };
    if let Some(place) = find(suspects, tag, now) {
        return add(&mut suspects[place % SUSPECTS], place, contact, now);
    }
    let Some(added) = contact.failure() else { return other(Noted::Nothing) };
    let Some(entrant) = entered(probation, tag, now) else {
        let (place, idle) = oldest(probation, now);
        if idle < PROBATION {
            probation[ENTRANTS - 1] = entry(tag, contact.pair, now);
            return Note { added, ..other(Noted::NoRoom) };
        }
        probation[place % ENTRANTS] = entry(tag, contact.pair, now);
        return Note { added, displaced: if idle == u32::MAX { 0 } else { idle }, ..other(Noted::Enters) };
    };
    let known = probation[entrant % ENTRANTS];
    let first = pair(known);
    if first == contact.pair {
        return other(Noted::Nothing);
    }
    let Some(place) = free(suspects, now) else { return other(Noted::NoRoom) };
    let began = now.saturating_sub(age(known, now));
    let suspect = &mut suspects[place % SUSPECTS];
    *suspect = Suspect::new(tag, &Contact { pair: first, ..*contact }, began);
    probation[entrant % ENTRANTS] = 0;
    add(suspect, place, contact, now)
}

#[inline(always)]
fn add(suspect: &mut Suspect, place: usize, contact: &Contact, now: u32) -> Note {
    let before = suspect.failed;
    let score = suspect.score;
    let noted = Noted::Suspected(suspect.add(contact, now));
    let added = if suspect.failed > before { suspect.score - score } else { 0 };
    Note { noted, place, added, displaced: 0 }
}

/// The answer to a contact that was noted as failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The contact. Its outcome is [`Outcome::Served`] or [`Outcome::Refused`].
    pub contact: Contact,
    /// The score that was added, or 0 if none was.
    pub score: i16,
    /// Time of the contact, in seconds.
    pub then: u32,
}

/// Takes back the failure of a contact whose port accepts, or makes it count as refused.
#[inline(always)]
pub fn answer(
    suspects: &mut [Suspect; SUSPECTS],
    probation: &mut Probation,
    tag: u32,
    answered: &Answered,
    now: u32,
) {
    let Answered { contact, score, then } = answered;
    if let Some(place) = find(suspects, tag, now) {
        let suspect = &mut suspects[place % SUSPECTS];
        match contact.outcome {
            Outcome::Served => suspect.take_back(contact, *score, *then, now),
            Outcome::Refused | Outcome::Silent => suspect.refuse(contact, *score, *then, now),
        }
    } else if contact.outcome == Outcome::Served
        && let Some(place) = entered(probation, tag, now)
        && pair(probation[place % ENTRANTS]) == contact.pair
    {
        probation[place % ENTRANTS] = 0;
    }
}

/// Returns the place of the suspect with this tag.
#[inline(always)]
#[must_use]
pub fn find(suspects: &[Suspect; SUSPECTS], tag: u32, now: u32) -> Option<usize> {
    suspects.iter().position(|it| it.tag == tag && spent(it, now) <= OLDEST)
}

/// Returns the place for a new suspect: a free one, or the one whose term has been over for the longest time.
#[inline(always)]
fn free(suspects: &[Suspect; SUSPECTS], now: u32) -> Option<usize> {
    let mut best = None;
    let mut longest = 0;
    for (place, it) in suspects.iter().enumerate() {
        let spent = spent(it, now);
        if is_free(it, now) && spent >= longest {
            (best, longest) = (Some(place), spent);
        }
    }
    best
}

/// Returns the place of the source on probation with this tag.
#[inline(always)]
fn entered(probation: &Probation, tag: u32, now: u32) -> Option<usize> {
    probation.iter().position(|it| is_tagged(*it, tag) && idle(*it, now) <= OLDEST)
}

/// Returns the place of the oldest entry on probation that has a term, and its age.
#[inline(always)]
fn oldest(probation: &Probation, now: u32) -> (usize, u32) {
    let mut best = (0, 0);
    for (place, it) in probation.iter().enumerate().take(ENTRANTS - 1) {
        let idle = idle(*it, now);
        if idle >= best.1 {
            best = (place, idle);
        }
    }
    best
}

/// Returns the set for a hash.
fn place<T>(sets: &mut [T], name: Name) -> &mut T {
    let last = u32::try_from(sets.len() - 1).unwrap_or(u32::MAX);
    &mut sets[name.set(last) as usize]
}

/// Whether a suspect's place may be taken: its term is over.
#[inline(always)]
#[must_use]
pub fn is_free(suspect: &Suspect, now: u32) -> bool {
    let term = if suspect.verdict == Verdict::None as u8 { SUSPICION } else { CONVICTION };
    spent(suspect, now) >= term
}

/// Returns the age of an entry, the greatest for a free place.
#[inline(always)]
#[must_use]
pub fn idle(entrant: u64, now: u32) -> u32 {
    if entrant == 0 { u32::MAX } else { age(entrant, now) }
}

/// Returns the time since a suspect's last new pair, the greatest for a free place.
#[inline(always)]
fn spent(suspect: &Suspect, now: u32) -> u32 {
    if suspect.tag == 0 { u32::MAX } else { now.saturating_sub(suspect.last) }
}

#[inline(always)]
fn entry(tag: u32, pair: Pair, now: u32) -> u64 {
    u64::from(tag >> 8) << TAG_SHIFT | u64::from(pair.bits()) << PAIR_SHIFT | u64::from(now / TICK) & TIME
}

/// Whether a place on probation is the one of the source with this tag. No entry is 0: its tag would have to be.
#[inline(always)]
#[must_use]
pub fn is_tagged(entrant: u64, tag: u32) -> bool {
    entrant != 0 && entrant >> TAG_SHIFT == u64::from(tag >> 8)
}

#[expect(clippy::cast_possible_truncation, reason = "it is masked")]
#[inline(always)]
fn pair(entrant: u64) -> Pair {
    Pair::from_bits((entrant >> PAIR_SHIFT) as u32)
}

/// Returns the seconds since the entry was made. The time wraps after six days.
#[inline(always)]
fn age(entrant: u64, now: u32) -> u32 {
    (u64::from(now / TICK).wrapping_sub(entrant & TIME) & TIME) as u32 * TICK
}

#[cfg(test)]
mod tests;
