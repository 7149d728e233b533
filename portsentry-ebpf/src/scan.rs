//! The memory of scans, and what answers have shown of the addresses behind this host. Other modules decide what is
//! noted.

use core::cell::UnsafeCell;

use aya_ebpf::{bindings::xdp_md, programs::XdpContext};
use portsentry_common::{
    address::{Address, Ipv4, Ipv6},
    challenge::Challenged,
    judge::{convict, first_contact, note_contact, seconds},
    parse::Plain,
    scan::{
        Contact, Outcome,
        contacts::{Fate, Heard, Hearing, Judged},
        hearing::{self, ADDRESSES, NETWORKS, is_heard},
        mark::Mark,
        memory::{
            Answered, ENTRANTS, Name, Places, Probation, SUSPECTS, Suspects, add, entered, find, free, note,
            oldest, settle, settle_suspect,
        },
        suspect::Suspect,
    },
};

use crate::{
    atomic,
    clock::now_ns,
    frame::XdpFrame,
    kernel::{Family, Kernel},
    maps,
    settings::settings,
};

/// A table in the program's own data.
#[repr(transparent)]
struct Table<T, const PLACES: usize>(UnsafeCell<[T; PLACES]>);

// SAFETY: the words are aligned, and read and written whole.
unsafe impl<T, const PLACES: usize> Sync for Table<T, PLACES> {}

impl<T, const PLACES: usize> Table<T, PLACES> {
    #[inline(always)]
    fn at(&self, hash: u64) -> *mut T {
        // SAFETY: the index is below the number of places.
        unsafe { self.0.get().cast::<T>().byte_add(hearing::place(hash, PLACES) * size_of::<T>()) }
    }
}

/// What answers have shown of addresses.
static HEARD: Table<u64, ADDRESSES> = Table(UnsafeCell::new([0; ADDRESSES]));
/// Time of the last answer of each network, in seconds.
static HEARD_NETWORKS: Table<u32, NETWORKS> = Table(UnsafeCell::new([0; NETWORKS]));

/// Returns what answers have shown of a destination that is asked at `now`.
#[inline(always)]
pub fn hear<A: Address>(destination: &Heard<A>, now: u32) -> Hearing {
    let key = settings().scan_key;
    if destination.port == 0 {
        let network = HEARD_NETWORKS.at(hearing::network(destination.address, key));
        // SAFETY: a word of the table.
        if !is_heard(unsafe { network.read_volatile() }, now) {
            return Hearing::Unheard;
        }
    }
    let hash = hearing::destination(destination.address, destination.port, key);
    let place = HEARD.at(hash);
    // SAFETY: a word of the table.
    let word = unsafe { place.read_volatile() };
    let (hearing, new) = hearing::ask(word, hash, now);
    if new != word {
        // SAFETY: as above.
        unsafe { place.write_volatile(new) };
    }
    hearing
}

/// Records that a destination has answered.
#[inline(always)]
pub fn heard<A: Address>(destination: &Heard<A>) {
    let (key, now) = (settings().scan_key, seconds(now_ns()));
    let hash = hearing::destination(destination.address, destination.port, key);
    // SAFETY: words of the tables.
    unsafe {
        HEARD.at(hash).write_volatile(hearing::answer(hash, now));
        if destination.port == 0 {
            HEARD_NETWORKS.at(hearing::network(destination.address, key)).write_volatile(now);
        }
    }
}

/// The sets of a source, by their numbers. Each function below is verified separately: together they would exceed the
/// verifier's limit.
struct InMaps {
    suspects: u64,
    probation: u64,
}

impl InMaps {
    #[inline(always)]
    fn of(name: Name) -> Self {
        let mask = settings().scan_mask;
        // There are twice as many sets on probation. Two of them have one lock.
        Self { suspects: name.set(mask).into(), probation: name.set(mask << 1 | 1).into() }
    }

    /// Locks the sets. Returns `false` if another CPU is changing them.
    #[inline(always)]
    fn lock(&self) -> bool {
        // SAFETY: an aligned word of a map's value.
        suspects(self.suspects).is_some_and(|set| unsafe { atomic::swap(&raw mut (*set).lock, 1) } == 0)
    }

    #[inline(always)]
    fn unlock(&self) {
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
    let (place, idle) = oldest(unsafe { &*set }, now as u32);
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
    // SAFETY: a map's value, which this CPU has locked.
    unsafe { (*set).places[at as usize % SUSPECTS] = suspect };
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

/// Notes a first contact of the source `key` with these halves, at `now` in seconds: see [`note`]. If
/// another CPU is changing the same sets, the contact is lost.
#[inline(always)]
pub fn note_in(key: [u64; 2], contact: &Contact, (now, fences): (u32, bool)) -> Judged {
    let name = Name::of(key, settings().scan_key);
    let mut sets = InMaps::of(name);
    if contact.outcome == Outcome::Served && sets.find(name.tag(), now) >= SUSPECTS || !sets.lock() {
        return Judged::NOTHING;
    }
    let noted = note(&mut sets, name.tag(), contact, now, fences);
    sets.unlock();
    let is_full = noted.judged.fate == Fate::NoRoom;
    if (is_full || noted.displaced != 0)
        && let Some(state) = maps::SCAN_STATE.get_ptr_mut(0)
    {
        // SAFETY: a map's value. A concurrent write by another CPU may lose a measurement.
        let state = unsafe { &mut *state };
        if is_full {
            state.refuse(now);
        } else {
            state.displace(noted.displaced, now);
        }
    }
    noted.judged
}

/// Number of attempts to lock a set, in which another CPU is certainly done.
const ATTEMPTS: u32 = 64;

/// Settles a contact of the source `key` with these halves, whose answer has come. `what` holds the contact and, from
/// [`MARK_AT`] on, its question's mark.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn settle_contact(high: u64, low: u64, what: u64) -> u64 {
    let now = seconds(now_ns());
    let name = Name::of([high, low], settings().scan_key);
    let mut sets = InMaps::of(name);
    let mut is_locked = false;
    for _ in 0..ATTEMPTS {
        is_locked = sets.lock();
        if is_locked {
            break;
        }
    }
    if !is_locked {
        return 0;
    }
    settle(&mut sets, name.tag(), &answered(what), now);
    sets.unlock();
    1
}

/// Position of the mark above a contact.
pub const MARK_AT: u32 = 32;

#[inline(always)]
fn answered(what: u64) -> Answered {
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

/// Returns the packed contact of a SYN, with [`IS_CONTACT`], or 0 for none. This function and the next two are called one
/// after another, because their stacks would add up.
#[inline(always)]
pub fn first<A: Plain + Challenged + Family, const BARE: bool>(context: *mut xdp_md) -> u64 {
    let context = XdpContext::new(context);
    first_contact::<A, _, _>(&XdpFrame::<BARE>::new(&context), &Kernel::new(&context))
        .map_or(0, |contact| u64::from(contact.packed()) | IS_CONTACT)
}

const IS_CONTACT: u64 = 1 << 32;

/// Notes the contact of a SYN. Returns the packed result if the daemon is to be told of it, otherwise 0.
#[inline(always)]
pub fn noted<A: Plain + Challenged + Family, const BARE: bool>(context: *mut xdp_md, contact: u64) -> u64 {
    let context = XdpContext::new(context);
    let contact = Contact::unpacked(contact as u32);
    let judged = note_contact::<A, _, _>(&XdpFrame::<BARE>::new(&context), &contact, &Kernel::new(&context));
    if judged.is_told(A::VERSION) { judged.packed() } else { 0 }
}

/// Reports or fences the source of a SYN.
#[inline(always)]
pub fn convicted<A: Plain + Challenged + Family, const BARE: bool>(context: *mut xdp_md, judged: u64) -> u32 {
    let context = XdpContext::new(context);
    let judged = Judged::unpacked(judged);
    convict::<A, _, _>(&XdpFrame::<BARE>::new(&context), &judged, &Kernel::new(&context)) as u32
}

/// Returns the contact of an IPv4 SYN.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn first_contact_ipv4(context: *mut xdp_md) -> u64 {
    first::<Ipv4, false>(context)
}

/// Notes the contact of an IPv4 SYN.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn note_contact_ipv4(context: *mut xdp_md, contact: u64) -> u64 {
    noted::<Ipv4, false>(context, contact)
}

/// Reports or fences the source of an IPv4 SYN.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn convict_ipv4(context: *mut xdp_md, judged: u64) -> u32 {
    convicted::<Ipv4, false>(context, judged)
}

/// The same for IPv6.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn first_contact_ipv6(context: *mut xdp_md) -> u64 {
    first::<Ipv6, false>(context)
}

/// The same for IPv6.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn note_contact_ipv6(context: *mut xdp_md, contact: u64) -> u64 {
    noted::<Ipv6, false>(context, contact)
}

/// The same for IPv6.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn convict_ipv6(context: *mut xdp_md, judged: u64) -> u32 {
    convicted::<Ipv6, false>(context, judged)
}
