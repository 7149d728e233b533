//! The bounded memory of first contacts. No flood can displace its entries before their time.
//!
//! A source with one failed pair is on probation: 8 bytes, eight places in a cache line. With the second pair it
//! becomes a [`Suspect`]: 40 bytes, four places in a set. An entry keeps its place for its term. A newcomer
//! takes a free place, or else the place whose term has been over for the longest time. If there is none, it is
//! counted, and takes its set's last place, which has no term: the next one displaces it. Thus a flood of spoofed sources
//! freezes the memory instead of flushing it, and a fast scanner is found beside it.
//!
//! The shorter the terms, the more newcomers get a place beside a flood, and the faster a scanner must be to be found.
//! So a part of the places on probation has shorter terms.

mod entry;
mod probation;
mod raise;

use bytemuck::{Pod, Zeroable};
use entry::{age, entered_by, settle_entry};
pub use entry::{entry, idle, is_tagged};
pub use probation::{
    Admission, ENTRANTS, PROBATION, Probation, SHORT_PROBATION, admit, entered, may_hold, oldest, oldest_by,
    term,
};

use super::{
    Contact, Outcome, Verdict,
    contacts::{Fate, Judged},
    mark::Mark,
    mix,
    suspect::Suspect,
};

/// Term of a suspect after its last new pair, in seconds.
pub const SUSPICION: u32 = 60 * 60;
/// The term of one with at most two failures. A flood of random addresses makes many of them: the same one comes twice.
pub const SHORT_SUSPICION: u32 = 15 * 60;
/// Term of a suspect with a verdict, in seconds: it outlives the fence.
pub const CONVICTION: u32 = 24 * 60 * 60;
/// Age at which an entry counts for nothing, even if nobody needed its place, in seconds.
pub const OLDEST: u32 = 24 * 60 * 60;

/// Places for suspects in a set.
pub const SUSPECTS: usize = 4;

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
    /// Notes a first contact of `source`, at `now` in seconds: see [`note`].
    pub fn note(&mut self, source: u64, contact: &Contact, now: u32) -> Note {
        let name = Name::new(source, self.key);
        let mut sets = Sets { suspects: place(self.suspects, name), probation: place(self.probation, name) };
        note(&mut sets, name.tag(), contact, now, true)
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

const _: () = assert!(size_of::<Suspects>() == 192);

/// The smallest number of sets.
pub const FEWEST: u32 = 1 << 8;

/// A set of suspects in the kernel's memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Suspects {
    /// 1 while a CPU changes the set, or the sets on probation that lead to it.
    pub lock: u64,
    /// The tags of the places. If none is a source's, it is no suspect: this cache line shows it. A tag may outlast its
    /// suspect.
    pub tags: [u32; SUSPECTS],
    /// Always 0. The set fills three cache lines.
    pub reserved: u64,
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

/// The sets of a source, as [`note`] uses them. The kernel program has each part verified separately.
pub trait Places {
    /// Returns the place of the suspect with this tag, or [`SUSPECTS`] if there is none.
    fn find(&self, tag: u32, now: u32) -> usize;
    /// Returns the place for a new suspect, or [`SUSPECTS`] if there is none: see [`free`].
    fn free(&self, now: u32) -> usize;
    /// Returns the place of the source on probation with this tag, or [`ENTRANTS`] if there is none.
    fn entered(&self, tag: u32, now: u32) -> usize;
    /// Returns the place of the entry on probation whose term has been over for the longest time, and its age: see
    /// [`oldest`].
    fn oldest(&self, now: u32) -> (usize, u32);
    /// Returns the entry at a place on probation.
    fn entry(&self, place: usize) -> u64;
    /// Replaces the entry at a place on probation.
    fn enter(&mut self, place: usize, entry: u64);
    /// Makes the source with this tag a suspect with a first contact, at `began`.
    fn begin(&mut self, place: usize, tag: u32, first: &Contact, began: u32);
    /// Adds a contact to a suspect: see [`add`].
    fn add(&mut self, place: usize, contact: &Contact, now: u32, fences: bool) -> Judged;
    /// Settles a contact of a suspect: see [`settle_suspect`].
    fn settle(&mut self, place: usize, answered: &Answered, now: u32);
}

/// The sets in memory that belongs to the caller.
#[derive(Debug)]
pub struct Sets<'set> {
    /// The suspects.
    pub suspects: &'set mut [Suspect; SUSPECTS],
    /// The sources on probation.
    pub probation: &'set mut Probation,
}

impl Places for Sets<'_> {
    fn find(&self, tag: u32, now: u32) -> usize {
        find(self.suspects, tag, now)
    }

    fn free(&self, now: u32) -> usize {
        free(self.suspects, now)
    }

    fn entered(&self, tag: u32, now: u32) -> usize {
        entered(self.probation, tag, now)
    }

    fn oldest(&self, now: u32) -> (usize, u32) {
        oldest(self.probation, now)
    }

    fn entry(&self, place: usize) -> u64 {
        self.probation[place]
    }

    fn enter(&mut self, place: usize, entry: u64) {
        self.probation[place] = entry;
    }

    fn begin(&mut self, place: usize, tag: u32, first: &Contact, began: u32) {
        self.suspects[place] = Suspect::new(tag, first, began);
    }

    fn add(&mut self, place: usize, contact: &Contact, now: u32, fences: bool) -> Judged {
        add(&mut self.suspects[place], contact, now, fences)
    }

    fn settle(&mut self, place: usize, answered: &Answered, now: u32) {
        settle_suspect(&mut self.suspects[place], answered, now);
    }
}

/// The result of [`note`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// The verdict, and what became of the contact.
    pub judged: Judged,
    /// Whether the source is a suspect.
    pub is_suspect: bool,
    /// Age of the entry on probation that the source displaced, or 0.
    pub displaced: u32,
}

/// Notes a first contact, at `now` in seconds, of the source with this tag. Unless a verdict `fences`,
/// it is returned once.
#[inline(always)]
pub fn note<P: Places>(places: &mut P, tag: u32, contact: &Contact, now: u32, fences: bool) -> Note {
    let other = |judged| Note { judged, is_suspect: false, displaced: 0 };
    let known = places.find(tag, now);
    if known < SUSPECTS {
        return Note { is_suspect: true, ..other(places.add(known, contact, now, fences)) };
    }
    let Some(added) = contact.failure() else { return other(Judged::NOTHING) };
    let entrant = places.entered(tag, now);
    if entrant >= ENTRANTS {
        let (place, admission) = admit(places.oldest(now));
        places.enter(place, entry(tag, contact, now));
        return admission.note(added);
    }
    let entry = places.entry(entrant);
    let first = entered_by(entry);
    if first.pair == contact.pair {
        return other(Judged::NOTHING);
    }
    let place = places.free(now);
    if place >= SUSPECTS {
        return other(Judged { fate: Fate::NoRoom, ..Judged::NOTHING });
    }
    let began = now.saturating_sub(age(entry, now));
    places.begin(place, tag, &first, began);
    places.enter(entrant, 0);
    Note { is_suspect: true, ..other(places.add(place, contact, now, fences)) }
}

/// Adds a contact to a suspect: see [`Suspect::add_where`].
#[inline(always)]
pub fn add(suspect: &mut Suspect, contact: &Contact, now: u32, fences: bool) -> Judged {
    let (failed, score) = (suspect.failed, suspect.score);
    let verdict = suspect.add_where(contact, now, fences);
    let added = if suspect.failed > failed { suspect.score - score } else { 0 };
    let fate = if added > 0 { Fate::Counted } else { Fate::Nothing };
    Judged { verdict, fate, added, evidence: suspect.evidence() }
}

/// The answer to a contact that was noted as failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The contact. Its outcome is [`Outcome::Served`] or [`Outcome::Refused`].
    pub contact: Contact,
    /// What it added.
    pub mark: Mark,
}

/// Settles a contact, which has been answered at `now`, of the source with this tag.
#[inline(always)]
pub fn settle<P: Places>(places: &mut P, tag: u32, answered: &Answered, now: u32) {
    let suspect = places.find(tag, now);
    if suspect < SUSPECTS {
        places.settle(suspect, answered, now);
        return;
    }
    let entrant = places.entered(tag, now);
    if entrant < ENTRANTS {
        let entry = places.entry(entrant);
        places.enter(entrant, settle_entry(entry, &answered.contact));
    }
}

/// Takes back a suspect's failure if the port accepts, or makes it count as refused.
#[inline(always)]
pub fn settle_suspect(suspect: &mut Suspect, Answered { contact, mark }: &Answered, now: u32) {
    match contact.outcome {
        Outcome::Served => suspect.take_back(contact, *mark, now),
        Outcome::Refused | Outcome::Silent => suspect.refuse(contact, *mark, now),
    }
}

/// Returns the place of the suspect with this tag, or [`SUSPECTS`] if there is none.
#[inline(always)]
#[must_use]
pub fn find(suspects: &[Suspect; SUSPECTS], tag: u32, now: u32) -> usize {
    suspects.iter().position(|it| it.tag == tag && spent(it, now) <= OLDEST).unwrap_or(SUSPECTS)
}

/// Returns the place for a new suspect: a free one, or, of those whose terms are over, the one that has had no new pair
/// for the longest time.
/// [`SUSPECTS`] if there is none.
#[inline(always)]
#[must_use]
pub fn free(suspects: &[Suspect; SUSPECTS], now: u32) -> usize {
    let mut best = SUSPECTS;
    let mut longest = 0;
    for (place, it) in suspects.iter().enumerate() {
        let spent = spent(it, now);
        if is_free(it, now) && spent >= longest {
            (best, longest) = (place, spent);
        }
    }
    best
}

/// Whether a suspect may have this tag.
#[inline(always)]
#[must_use]
pub fn may_suspect(tags: &[u32; SUSPECTS], tag: u32) -> bool {
    tags.iter().fold(0, |found, it| found | u64::from(it ^ tag).wrapping_sub(1)) >> (u64::BITS - 1) != 0
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
    let term = if suspect.verdict != Verdict::None as u8 {
        CONVICTION
    } else if suspect.failed > 2 {
        SUSPICION
    } else {
        SHORT_SUSPICION
    };
    spent(suspect, now) >= term
}

/// Returns the time since a suspect's last new pair, the greatest for a free place.
#[inline(always)]
fn spent(suspect: &Suspect, now: u32) -> u32 {
    if suspect.tag == 0 { u32::MAX } else { now.saturating_sub(suspect.last) }
}

#[cfg(test)]
mod tests;
