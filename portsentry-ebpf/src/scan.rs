//! The memory of scans, and what answers have shown of the addresses behind this host. Other modules decide what is
//! noted.

pub mod sets;

use aya_ebpf::{bindings::xdp_md, programs::XdpContext};
use portsentry_common::{
    address::{Address, Ipv4, Ipv6},
    challenge::Challenged,
    judge::{Newcomer, convict, first_contact, is_told, newcomer, note_contact, seconds},
    parse::Plain,
    scan::{
        Contact, Outcome,
        contacts::{Fate, Heard, Hearing, Judged},
        hearing::{self, ADDRESSES, NETWORKS, is_heard},
        memory::{Name, Note, Places, SUSPECTS, note, settle},
    },
};

use self::sets::{Expected, InMaps, admit_to, answered, expect};
use crate::{
    clock::now_ns,
    frame::XdpFrame,
    kernel::{Family, Kernel},
    maps,
    settings::settings,
    table::Table,
};

/// What answers have shown of addresses.
static HEARD: Table<u64, ADDRESSES> = Table::of(0);
/// Time of the last answer of each network, in seconds.
static HEARD_NETWORKS: Table<u32, NETWORKS> = Table::of(0);

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

/// Notes a first contact of the source `key` with these halves, at `now` in seconds: see [`note`]. If
/// another CPU is changing the same sets, the contact is lost.
#[inline(always)]
pub fn note_in(key: [u64; 2], contact: &Contact, (now, fences): (u32, bool)) -> Judged {
    let name = Name::of(key, settings().scan_key);
    if let Some(added) = contact.failure()
        && let Some(sets) = expect(name)
        && let Some(judged) = admit(&sets, contact, now, added)
    {
        return judged;
    }
    let mut sets = InMaps::of(name);
    if contact.outcome == Outcome::Served && sets.find(name.tag(), now) >= SUSPECTS || !sets.lock() {
        return Judged::NOTHING;
    }
    let noted = note(&mut sets, name.tag(), contact, now, fences);
    sets.unlock();
    measure(&noted, now);
    noted.judged
}

/// Notes the first contact of a new source, which fails and adds this score: see [`admit_to`].
#[inline(always)]
pub fn admit(sets: &Expected, contact: &Contact, now: u32, added: i16) -> Option<Judged> {
    let noted = admit_to(sets, contact, (now, added))?;
    measure(&noted, now);
    Some(noted.judged)
}

/// Records what the memory had no room for.
#[inline(always)]
fn measure(noted: &Note, now: u32) {
    if (noted.judged.fate == Fate::NoRoom || noted.displaced != 0)
        && let Some(state) = maps::SCAN_STATE.get_ptr_mut(0)
    {
        // SAFETY: a map's value. A concurrent write by another CPU may lose a measurement.
        unsafe { (*state).note(noted, now) };
    }
}

/// Number of attempts to lock a set, in which another CPU is certainly done.
const ATTEMPTS: u32 = 64;

/// Settles a contact of the source `key` with these halves, whose answer has come. `what` holds the contact and, from
/// [`sets::MARK_AT`] on, its question's mark.
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

/// Returns the packed contact of a SYN, with [`IS_CONTACT`], or 0 for none. This function and the next two are called one
/// after another, because their stacks would add up.
#[inline(always)]
pub fn first<A: Plain + Challenged + Family, const BARE: bool>(context: *mut xdp_md) -> u64 {
    let context = XdpContext::new(context);
    first_contact::<A, _, _>(&XdpFrame::<BARE>::new(&context), &Kernel::new(&context))
        .map_or(0, |contact| u64::from(contact.packed()) | IS_CONTACT)
}

/// Bits of results that no judgement of a new source has.
pub const IS_CONTACT: u64 = 1 << 32;
pub const IS_UNDECIDED: u64 = 1 << 33;

/// Notes the contact of an ordinary SYN to an unwatched port, if its source is new. Returns the packed result if the daemon
/// is to be told of it, 0 if the SYN just passes, the packed contact with [`IS_CONTACT`] if the source may be known, and
/// [`IS_UNDECIDED`] if the packet is another one.
#[inline(always)]
fn note_newcomer<A: Plain + Challenged + Family>(context: *mut xdp_md) -> u64 {
    let context = XdpContext::new(context);
    let kernel = Kernel::new(&context);
    kernel.follow_clock();
    match newcomer::<A, _, _>(&XdpFrame::<false>::new(&context), &kernel) {
        Newcomer::Undecided => IS_UNDECIDED,
        Newcomer::Contact(contact) => u64::from(contact.packed()) | IS_CONTACT,
        Newcomer::Noted(judged) if is_told::<A, _>(&judged, &kernel) => judged.packed(),
        Newcomer::Passes | Newcomer::Noted(_) => 0,
    }
}

/// Notes the contact of a new source's IPv4 SYN.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn note_newcomer_ipv4(context: *mut xdp_md) -> u64 {
    note_newcomer::<Ipv4>(context)
}

/// The same for IPv6.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn note_newcomer_ipv6(context: *mut xdp_md) -> u64 {
    note_newcomer::<Ipv6>(context)
}

/// Notes the contact of a SYN. Returns the packed result if the daemon is to be told of it, otherwise 0.
#[inline(always)]
pub fn noted<A: Plain + Challenged + Family, const BARE: bool>(context: *mut xdp_md, contact: u64) -> u64 {
    let context = XdpContext::new(context);
    let contact = Contact::unpacked(contact as u32);
    let kernel = Kernel::new(&context);
    let judged = note_contact::<A, _, _>(&XdpFrame::<BARE>::new(&context), &contact, &kernel);
    if is_told::<A, _>(&judged, &kernel) { judged.packed() } else { 0 }
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
