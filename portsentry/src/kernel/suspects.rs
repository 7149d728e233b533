//! The places in the memory of scans, in memory shared with the kernel program: counts and clears them.

use std::{
    ffi::c_void,
    mem::offset_of,
    net::IpAddr,
    num::NonZeroUsize,
    os::fd::AsFd,
    path::Path,
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};

use aya::maps::{MapData, MapInfo};
use ipnet::{IpNet, Ipv4AddrRange, Ipv6Subnets};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use portsentry_common::{
    address::Ipv6,
    scan::{
        Verdict,
        memory::{ENTRANTS, Name, Probation, SUSPECTS, Suspects, find, idle, is_free, is_tagged, term},
        suspect::Suspect,
    },
};

use super::Error;
use crate::policy::network_of;

/// Words of a set of suspects, and of one on probation.
const SUSPECT_SET: usize = size_of::<Suspects>() / 8;
const PROBATION_SET: usize = size_of::<Probation>() / 8;
/// Words of a suspect.
const SUSPECT: usize = size_of::<Suspect>() / 8;
/// Words before the first suspect of a set.
const LOCK: usize = SUSPECT_SET - SUSPECTS * SUSPECT;
/// The word of a suspect that holds its tag.
const TAG: usize = offset_of!(Suspect, tag) / 8;
/// Offset of a suspect's verdict in octets, and of the number of failures since.
const VERDICT: usize = offset_of!(Suspect, verdict);
const FRESH: usize = offset_of!(Suspect, fresh);
const RAISED: usize = offset_of!(Suspect, raised);
/// Offset of a suspect's score in octets.
const SCORE: usize = offset_of!(Suspect, score);
/// Bits of the number of sources of a network that are acquitted one by one.
const MOST: u8 = 16;

const _: () = assert!(SUSPECT_SET * 8 == size_of::<Suspects>() && SUSPECT * 8 == size_of::<Suspect>());
const _: () = assert!(PROBATION_SET == ENTRANTS);

/// Numbers of sources in the memory of scans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ScanCount {
    /// Sources with several failed first contacts.
    pub suspects: u64,
    /// Places for them.
    pub suspects_max: u64,
    /// Sources with one failed first contact.
    pub probation: u64,
    /// Places for them.
    pub probation_max: u64,
}

/// The places.
#[derive(Debug)]
pub(super) struct Places {
    suspects: Words,
    probation: Words,
    mask: u32,
}

impl Places {
    /// Opens the places in the maps with these names in `directory`.
    pub(super) fn open(directory: &Path, [suspects, probation]: [&'static str; 2]) -> Result<Self, Error> {
        let info = MapInfo::from_pin(directory.join(suspects)).map_err(Error::map(suspects))?;
        let mask = info.max_entries().saturating_sub(1);
        let sets = mask as usize + 1;
        Ok(Self {
            suspects: Words::open(directory, suspects, sets * SUSPECT_SET)?,
            probation: Words::open(directory, probation, 2 * sets * PROBATION_SET)?,
            mask,
        })
    }

    /// Returns the numbers of sources whose terms aren't over at `now`, in seconds of `CLOCK_MONOTONIC`.
    pub(super) fn count(&self, now: u32) -> ScanCount {
        let suspects = self.suspects.words().chunks_exact(SUSPECT_SET);
        let places = suspects.flat_map(|set| set[LOCK..].chunks_exact(SUSPECT));
        let suspects = places.filter(|place| !is_free(&suspect(place), now)).count();
        let probation = self.probation.words().iter().enumerate();
        let probation = probation
            .filter(|(it, entrant)| idle(entrant.load(Ordering::Relaxed), now) < term(it % PROBATION_SET))
            .count();
        let sets = u64::from(self.mask) + 1;
        ScanCount {
            suspects: suspects as u64,
            suspects_max: sets * SUSPECTS as u64,
            probation: probation as u64,
            probation_max: 2 * sets * ENTRANTS as u64,
        }
    }

    /// Clears the records of the sources in `network`: IPv4 addresses, or IPv6 networks of `prefix` bits. If there may
    /// be more than 65,536, clears all records, so that none in the network remains.
    pub(super) fn acquit(&self, network: IpNet, prefix: u8, key: u64) {
        match network {
            IpNet::V4(v4) if v4.prefix_len() >= 32 - MOST => {
                Ipv4AddrRange::new(v4.network(), v4.broadcast())
                    .for_each(|host| self.acquit_one(host.into(), key));
            }
            IpNet::V6(v6) if v6.prefix_len() >= prefix => {
                let whole = network_of(v6.network().into(), prefix);
                // A neighbour is counted alone.
                [v6.network().into(), whole.network()].into_iter().for_each(|it| self.acquit_one(it, key));
            }
            IpNet::V6(v6) if v6.prefix_len() + MOST >= prefix => {
                Ipv6Subnets::new(v6.network(), v6.broadcast(), prefix)
                    .for_each(|it| self.acquit_one(it.network().into(), key));
            }
            _ => self.acquit_all(),
        }
    }

    fn acquit_all(&self) {
        for set in self.suspects.words().chunks_exact(SUSPECT_SET) {
            set[LOCK..].chunks_exact(SUSPECT).for_each(|place| place[TAG].store(0, Ordering::SeqCst));
        }
        self.probation.words().iter().for_each(|entrant| entrant.store(0, Ordering::Relaxed));
    }

    /// Returns the suspect that is counted as `source`.
    pub(super) fn suspect(&self, source: IpAddr, key: u64, now: u32) -> Option<Suspect> {
        let name = name(source, key);
        let places: Vec<Suspect> = self.set(name).map(suspect).collect();
        let places: [Suspect; SUSPECTS] = places.try_into().ok()?;
        places.get(find(&places, name.tag(), now)).copied()
    }

    /// Records a verdict on `source`, if it is a suspect.
    pub(super) fn convict(&self, source: IpAddr, verdict: Verdict, key: u64) {
        let name = name(source, key);
        for place in self.set(name).filter(|place| suspect(place).tag == name.tag()) {
            set_octet(place, VERDICT, verdict as u8);
            set_octet(place, FRESH, 0);
        }
    }

    /// Raises the score of `source`, if it is a suspect: see [`Suspect::raise`].
    pub(super) fn raise(&self, source: IpAddr, pairs: u8, key: u64) {
        let name = name(source, key);
        for place in self.set(name) {
            let before = suspect(place);
            let mut after = before;
            after.raise(pairs);
            if before.tag == name.tag() && after.raised != before.raised {
                set_octet(place, RAISED, after.raised);
                add_to_score(place, after.score - before.score);
            }
        }
    }

    /// Returns the places of the suspects in the set of the source with this name.
    fn set(&self, name: Name) -> impl Iterator<Item = &[AtomicU64]> {
        let start = name.set(self.mask) as usize * SUSPECT_SET + LOCK;
        self.suspects.words()[start..][..SUSPECTS * SUSPECT].chunks_exact(SUSPECT)
    }

    fn acquit_one(&self, source: IpAddr, key: u64) {
        let name = name(source, key);
        let tag = name.tag();
        for place in self.set(name) {
            // A program that is just adding a failure may write the tag once more.
            for _ in 0..3 {
                if suspect(place).tag != tag {
                    break;
                }
                place[TAG].store(0, Ordering::SeqCst);
            }
        }
        let start = name.set(2 * self.mask + 1) as usize * PROBATION_SET;
        for entrant in &self.probation.words()[start..][..PROBATION_SET] {
            if is_tagged(entrant.load(Ordering::Relaxed), tag) {
                entrant.store(0, Ordering::Relaxed);
            }
        }
    }
}

/// Returns the name of a source.
fn name(source: IpAddr, key: u64) -> Name {
    Name::of(Ipv6::from(source).halves(), key)
}

/// Reads a suspect. A program may change it meanwhile.
fn suspect(place: &[AtomicU64]) -> Suspect {
    let mut words = [0_u64; SUSPECT];
    words.iter_mut().zip(place).for_each(|(word, shared)| *word = shared.load(Ordering::Relaxed));
    bytemuck::cast(words)
}

/// Sets an octet of a suspect. A program may change others of the same word meanwhile.
fn set_octet(place: &[AtomicU64], offset: usize, octet: u8) {
    let change = |word: u64| {
        let mut octets = word.to_ne_bytes();
        octets[offset % 8] = octet;
        Some(u64::from_ne_bytes(octets))
    };
    let _ = place[offset / 8].fetch_update(Ordering::SeqCst, Ordering::Relaxed, change);
}

/// Adds to a suspect's score. A program may change it meanwhile: it may overwrite this change, which spares the source,
/// but this change never overwrites a program's.
fn add_to_score(place: &[AtomicU64], more: i16) {
    let change = |word: u64| {
        let mut parts: [i16; 4] = bytemuck::cast(word);
        parts[SCORE % 8 / 2] = parts[SCORE % 8 / 2].saturating_add(more);
        Some(bytemuck::cast(parts))
    };
    let _ = place[SCORE / 8].fetch_update(Ordering::SeqCst, Ordering::Relaxed, change);
}

/// The words of a map in shared memory.
#[derive(Debug)]
struct Words {
    memory: NonNull<c_void>,
    count: NonZeroUsize,
}

// SAFETY: the memory is only accessed through atomics.
unsafe impl Send for Words {}
// SAFETY: as above.
unsafe impl Sync for Words {}

impl Words {
    /// Maps an array of `count` words.
    fn open(directory: &Path, name: &'static str, count: usize) -> Result<Self, Error> {
        let path = directory.join(name);
        let map = MapData::from_pin(&path).map_err(Error::map(name))?;
        let info = map.info().map_err(Error::map(name))?;
        let (words, bytes) = (NonZeroUsize::new(count), NonZeroUsize::new(count * 8));
        let has_them = info.value_size() as usize * info.max_entries() as usize == count * 8;
        let Some((count, bytes)) = words.zip(bytes).filter(|_| has_them) else {
            return Err(Error::of_another_version(path));
        };
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, at an address that the kernel chooses, with the map's size.
        let memory = unsafe { mmap(None, bytes, protection, MapFlags::MAP_SHARED, map.fd().as_fd(), 0) };
        let failed =
            |errno: nix::Error| Error::System { what: "mapping the memory of scans", source: errno.into() };
        Ok(Self { memory: memory.map_err(failed)?, count })
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping has that length, is aligned to a page, and lives as long as `self`. Any bits are a
        // valid word.
        unsafe { std::slice::from_raw_parts(self.memory.cast().as_ptr(), self.count.get()) }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: `open` made this mapping, and nothing borrows from it any more.
        let _ = unsafe { munmap(self.memory, self.count.get() * 8) };
    }
}
