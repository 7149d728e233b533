//! The sets of a source in the maps of the memory of scans.

use portsentry_common::scan::{
    Contact,
    contacts::Judged,
    mark::Mark,
    memory::{
        Answered, ENTRANTS, Name, Note, Places, Probation, SUSPECTS, Suspects, add, admit, entered, entry,
        find, free, may_hold, may_suspect, oldest_by, settle_suspect,
    },
    suspect::Suspect,
};

use crate::{atomic, barrier_var::barrier_var, maps, settings::settings};

/// The sets of a source, by their numbers. Each function below is verified separately: together they would exceed the
/// verifier's limit.
pub struct InMaps {
    suspects: u64,
    probation: u64,
}

impl InMaps {
    #[inline(always)]
    pub fn of(name: Name) -> Self {
        let mask = settings().scan_mask;
        // There are twice as many sets on probation. Two of them have one lock.
        Self { suspects: name.set(mask).into(), probation: name.set(mask << 1 | 1).into() }
    }

    /// Locks the sets. Returns `false` if another CPU is changing them.
    #[inline(always)]
    pub fn lock(&self) -> bool {
        // SAFETY: an aligned word of a map's value.
        suspects(self.suspects).is_some_and(|set| unsafe { atomic::swap(&raw mut (*set).lock, 1) } == 0)
    }

    #[inline(always)]
    pub fn unlock(&self) {
        if let Some(set) = suspects(self.suspects) {
            // SAFETY: as above.
            unsafe { atomic::swap(&raw mut (*set).lock, 0) };
        }
    }
}

#[inline(always)]
fn suspects(set: u64) -> Option<*mut Suspects> {
    maps::SCAN_SUSPECTS.get_ptr_mut(set as u32)
}

#[inline(always)]
fn probation(set: u64) -> Option<*mut Probation> {
    maps::SCAN_PROBATION.get_ptr_mut(set as u32)
}

impl Places for InMaps {
    #[inline(always)]
    fn find(&self, tag: u32, now: u32) -> usize {
        scan_find(self.suspects, tag.into(), now.into()) as usize
    }

    #[inline(always)]
    fn free(&self, now: u32) -> usize {
        scan_free(self.suspects, now.into()) as usize
    }

    #[inline(always)]
    fn entered(&self, tag: u32, now: u32) -> usize {
        scan_entered(self.probation, tag.into(), now.into()) as usize
    }

    #[inline(always)]
    fn oldest(&self, now: u32) -> (usize, u32) {
        let found = scan_oldest(self.probation, now.into());
        (found as usize % ENTRANTS, (found >> 32) as u32)
    }

    #[inline(always)]
    fn entry(&self, place: usize) -> u64 {
        scan_entry(self.probation, place as u64)
    }

    #[inline(always)]
    fn enter(&mut self, place: usize, entry: u64) {
        scan_enter(self.probation, place as u64, entry);
    }

    #[inline(always)]
    fn begin(&mut self, place: usize, tag: u32, first: &Contact, began: u32) {
        let at = self.suspects << 8 | place as u64;
        scan_begin(at, tag.into(), first.packed().into(), began.into());
    }

    #[inline(always)]
    fn add(&mut self, place: usize, contact: &Contact, now: u32, fences: bool) -> Judged {
        let at = self.suspects << 8 | place as u64;
        Judged::unpacked(scan_add(at, contact.packed().into(), now.into(), fences.into()))
    }

    #[inline(always)]
    fn settle(&mut self, place: usize, answered: &Answered, now: u32) {
        let at = self.suspects << 8 | place as u64;
        let mark = u64::from(answered.mark.bits()) << MARK_AT;
        scan_settle(at, u64::from(answered.contact.packed()) | mark, now.into());
    }
}

/// See [`find`].
#[unsafe(no_mangle)]
#[inline(never)]
pub fn scan_find(set: u64, tag: u64, now: u64) -> u64 {
    // SAFETY: a map's value, whose fields are read whole.
    suspects(set).map_or(SUSPECTS, |set| find(unsafe { &(*set).places }, tag as u32, now as u32)) as u64
}

/// See [`free`].
#[unsafe(no_mangle)]
#[inline(never)]
pub fn scan_free(set: u64, now: u64) -> u64 {
    // SAFETY: as above.
    suspects(set).map_or(SUSPECTS, |set| free(unsafe { &(*set).places }, now as u32)) as u64
}

/// See [`entered`].
#[unsafe(no_mangle)]
#[inline(never)]
pub fn scan_entered(set: u64, tag: u64, now: u64) -> u64 {
    // SAFETY: as above.
    probation(set).map_or(ENTRANTS, |set| entered(unsafe { &*set }, tag as u32, now as u32)) as u64
}

/// See [`oldest`]. The age is in the upper half.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn scan_oldest(set: u64, now: u64) -> u64 {
    let Some(set) = probation(set) else { return 0 };
    // SAFETY: as above.
    let (place, idle) = oldest_by(unsafe { &*set }, now as u32, greater);
    place as u64 | u64::from(idle) << 32
}

/// See [`Places::entry`]. Linux 6.1's verifier loses the bounds of a place that a larger function keeps.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn scan_entry(set: u64, place: u64) -> u64 {
    // SAFETY: a word of a map's value.
    probation(set).map_or(0, |set| unsafe { (*set)[place as usize % ENTRANTS] })
}

/// See [`Places::enter`].
#[unsafe(no_mangle)]
#[inline(never)]
pub fn scan_enter(set: u64, place: u64, entry: u64) -> u64 {
    let Some(set) = probation(set) else { return 0 };
    // SAFETY: a word of a map's value, which this CPU has locked.
    unsafe { (*set)[place as usize % ENTRANTS] = entry };
    1
}

/// See [`Places::begin`]. The first argument holds the set and, in the lowest octet, the place.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn scan_begin(at: u64, tag: u64, first: u64, began: u64) -> u64 {
    let Some(set) = suspects(at >> 8) else { return 0 };
    let suspect = Suspect::new(tag as u32, &Contact::unpacked(first as u32), began as u32);
    // SAFETY: a map's value, which this CPU has locked. Another CPU may read the tag.
    unsafe {
        (*set).tags[at as usize % SUSPECTS] = tag as u32;
        (*set).places[at as usize % SUSPECTS] = suspect;
    }
    1
}

/// See [`add`]. Returns the packed result.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn scan_add(at: u64, contact: u64, now: u64, fences: u64) -> u64 {
    let Some(set) = suspects(at >> 8) else { return 0 };
    // SAFETY: a map's value, which this CPU has locked.
    let suspect = unsafe { &mut (*set).places[at as usize % SUSPECTS] };
    add(suspect, &Contact::unpacked(contact as u32), now as u32, fences != 0).packed()
}

/// Returns the greater of two numbers below 2^63, without a branch.
#[inline(always)]
fn greater(one: u64, other: u64) -> u64 {
    let less = one.wrapping_sub(other);
    // The optimiser would make a comparison of it.
    let sign = barrier_var((less.cast_signed() >> 63) as usize) as u64;
    one.wrapping_sub(less & sign)
}

/// The sets of a source, and its tag.
pub struct Expected {
    suspects: *mut Suspects,
    probation: *mut Probation,
    tag: u32,
}

/// Returns the sets of the source with this name, and begins to load them: the processor doesn't wait for words that nothing needs
/// yet.
#[inline(always)]
pub fn expect(name: Name) -> Option<Expected> {
    let sets = InMaps::of(name);
    let (suspects, probation) = (suspects(sets.suspects)?, probation(sets.probation)?);
    // SAFETY: words of maps' values.
    unsafe {
        (&raw const (*suspects).lock).read_volatile();
        (&raw const (*probation)[0]).read_volatile();
    }
    Some(Expected { suspects, probation, tag: name.tag() })
}

/// Puts a source, whose contact adds this score, on probation, unless its sets may hold it. Nearly every source of a flood
/// is new, so this reads a cache line of each set and takes no lock. If another CPU writes the same entry, one of both is
/// lost.
#[inline(always)]
pub fn admit_to(sets: &Expected, contact: &Contact, (now, added): (u32, i16)) -> Option<Note> {
    let Expected { suspects, probation, tag } = *sets;
    // SAFETY: words of maps' values.
    let (tags, entrants) = unsafe { (&(*suspects).tags, &*probation) };
    if may_suspect(tags, tag) || may_hold(entrants, tag) {
        return None;
    }
    let (place, admission) = admit(oldest_by(entrants, now, greater));
    // SAFETY: an aligned word of a map's value. The place is bounded.
    unsafe { (*probation)[barrier_var(place) % ENTRANTS] = entry(tag, contact, now) };
    Some(admission.note(added))
}

/// Position of the mark above a contact.
pub const MARK_AT: u32 = 32;

/// Returns the answered contact, and the mark, in a word.
#[inline(always)]
pub fn answered(what: u64) -> Answered {
    Answered { contact: Contact::unpacked(what as u32), mark: Mark::of_bits((what >> MARK_AT) as u8) }
}

/// See [`settle_suspect`].
#[unsafe(no_mangle)]
#[inline(never)]
pub fn scan_settle(at: u64, what: u64, now: u64) -> u64 {
    let Some(set) = suspects(at >> 8) else { return 0 };
    // SAFETY: a map's value, which this CPU has locked.
    settle_suspect(unsafe { &mut (*set).places[at as usize % SUSPECTS] }, &answered(what), now as u32);
    1
}
