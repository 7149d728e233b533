//! The gates before the blocked maps, through shared memory.
//!
//! Each bit has two copies in one word; every writer sets both at once, and programs take either for it. To drop
//! stale bits, the first copies are cleared and set again from the maps, then the second become as the first. A block
//! that the kernel enters meanwhile is in the map before its bit is set, so it is found either way.
//!
//! Each program has gates of its own, as only what is the program's data is read without a look-up. They begin wide
//! open: as long as an earlier program still enters blocks, whose bits it sets in its own gates, everybody is looked
//! up.

use std::{
    ffi::c_void,
    fs,
    num::NonZeroUsize,
    os::fd::AsFd,
    path::{Path, PathBuf},
    ptr::NonNull,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, IterableMap, Map, MapData},
};
use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use portsentry_common::{
    address::{Ipv4, Ipv6},
    gate::{self, ALONE, FIRST_COPIES, Gated, HEAD, LENGTH, MOMENT, NETWORKS, WORDS, mask_of, word_of},
};
use rustix::thread::{MembarrierCommand, membarrier};

use super::{Error, Pins};

const BYTES: usize = LENGTH * 8;
/// Of this length an IPv6 prefix has a sixteenth as many /48s as the gate has bits.
const SHORTEST: u8 = 28;

/// Where the gates of the program that is attached are pinned, IPv4's and IPv6's.
const PINS: [&str; 2] = ["GATE_V4", "GATE_V6"];
/// Where those of one that is yet to be attached are.
const NEXT: [&str; 2] = ["GATE_V4_NEXT", "GATE_V6_NEXT"];
/// The program's sections that they stand for.
const SECTIONS: [&str; 2] = [".bss.gate_v4", ".bss.gate_v6"];

/// Makes fresh gates and has `loader` take them.
pub(super) fn make(pins: &Pins, loader: &mut EbpfLoader<'_>) -> Result<(), Error> {
    /// `BPF_F_MMAPABLE` of the kernel's `include/uapi/linux/bpf.h` (Linux 5.5), which the loader does not set itself.
    const MMAPABLE: u32 = 1 << 10;
    for (name, section) in NEXT.into_iter().zip(SECTIONS) {
        let path = pins.map(name);
        // One that an earlier daemon died before it took.
        if path.exists() {
            fs::remove_file(&path).map_err(|error| failed(path.clone(), &error))?;
        }
        let map = Array::<_, [u64; LENGTH]>::create(1, MMAPABLE).map_err(Error::map(name))?;
        map.map().pin(&path).map_err(|error| failed(path.clone(), &error))?;
        loader.map_pin_path(section, path);
    }
    Ok(())
}

/// Pins the gates of a program that has been attached where those are looked for.
pub(super) fn settle(pins: &Pins) -> Result<(), Error> {
    for (next, name) in NEXT.into_iter().zip(PINS) {
        let path = pins.map(next);
        fs::rename(&path, pins.map(name)).map_err(|error| failed(path, &error))?;
    }
    Ok(())
}

/// Waits until whatever programs were running have ended: one that is attached no more may still enter a block.
pub(super) fn synchronize_rcu() {
    /// A program runs for microseconds, and nothing interrupts it for long.
    const LONG: Duration = Duration::from_millis(100);
    // A grace period of the kernel's RCU, under which programs run (membarrier(2)). Kernels with nohz_full refuse it.
    if membarrier(MembarrierCommand::Global).is_err() {
        thread::sleep(LONG);
    }
}

fn failed(path: PathBuf, error: &dyn std::error::Error) -> Error {
    Error::Pins { path, problem: error.to_string() }
}

/// Both families' gates.
#[derive(Debug)]
pub(super) struct Gate {
    v4: Bits,
    v6: Bits,
}

impl Gate {
    /// Those of a program that has been loaded with [`make`]'s.
    pub(super) fn of(ebpf: &Ebpf) -> Result<Self, Error> {
        let [v4, v6] = SECTIONS.map(|section| match ebpf.map(section) {
            Some(Map::Array(map)) => Bits::map(map),
            _ => Err(Error::Missing(section.into())),
        });
        Ok(Self { v4: v4?, v6: v6? })
    }

    /// Those that are pinned in `directory`.
    pub(super) fn pinned(directory: &Path) -> Result<Self, Error> {
        let [v4, v6] =
            PINS.map(|name| Bits::map(&MapData::from_pin(directory.join(name)).map_err(Error::map(name))?));
        Ok(Self { v4: v4?, v6: v6? })
    }

    fn bits(&self) -> [&Bits; 2] {
        [&self.v4, &self.v6]
    }

    /// Sets the second copy of every bit, and has programs look for networks.
    pub(super) fn open_wide(&self) {
        self.set_networks(true);
        self.change(|word| word | !FIRST_COPIES);
    }

    /// Clears the first copies, has `fill` set bits, and has the second copies follow.
    pub(super) fn renew<T, E>(&self, fill: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.change(|word| word & !FIRST_COPIES);
        let filled = fill()?;
        self.close();
        Ok(filled)
    }

    /// Clears the second copies of bits whose first ones are clear.
    pub(super) fn close(&self) {
        self.change(|word| (word & FIRST_COPIES) | (word & FIRST_COPIES) << FIRST_COPIES.count_ones());
    }

    /// Has every word become what `change` makes of it, whoever sets bits meanwhile. Most stay as they are, and are but read.
    fn change(&self, change: impl Fn(u32) -> u32) {
        for bits in self.bits() {
            for word in bits.words() {
                let mut old = word.load(Ordering::Relaxed);
                while change(old) != old {
                    match word.compare_exchange_weak(old, change(old), Ordering::Relaxed, Ordering::Relaxed) {
                        Ok(_) => break,
                        Err(new) => old = new,
                    }
                }
            }
        }
    }

    /// Has programs look for IPv6 sources that are held alone.
    pub(super) fn set_alone(&self) {
        self.v6.head()[ALONE].store(1, Ordering::Release);
    }

    /// Whether programs look for blocked networks at all.
    pub(super) fn set_networks(&self, are_any: bool) {
        for bits in self.bits() {
            bits.head()[NETWORKS].store(are_any.into(), Ordering::Release);
        }
    }

    /// Has nothing count as explained until programs meet the next packet that isn't.
    pub(super) fn forget(&self) {
        for bits in self.bits() {
            bits.head()[MOMENT].store(0, Ordering::Relaxed);
        }
    }

    /// How many bits are set.
    pub(super) fn count(&self) -> usize {
        let words = self.bits().into_iter().flat_map(Bits::words).map(|word| word.load(Ordering::Relaxed));
        words
            .map(|word| ((word | word >> FIRST_COPIES.count_ones()) & FIRST_COPIES).count_ones() as usize)
            .sum()
    }

    pub(super) fn set_v4(&self, bit: u32) {
        self.v4.set(bit);
    }

    pub(super) fn set_v6(&self, bit: u32) {
        self.v6.set(bit);
    }

    /// Sets the bits of all that `network` holds. Of an IPv6 network shorter than [`SHORTEST`] these are taken to be
    /// all bits.
    pub(super) fn set_network(&self, network: IpNet) {
        match network {
            IpNet::V4(network) => Ipv4Subnets::new(network.network(), network.broadcast(), 24)
                .for_each(|subnet| self.v4.set(Ipv4::from(subnet.network()).bit())),
            IpNet::V6(network) if network.prefix_len() < SHORTEST => {
                (0..gate::BITS).for_each(|bit| self.v6.set(bit));
            }
            IpNet::V6(network) => Ipv6Subnets::new(network.network(), network.broadcast(), 48)
                .for_each(|subnet| self.v6.set(Ipv6::from(subnet.network()).bit())),
        }
    }
}

/// A gate as it lies in memory.
#[repr(C)]
struct Memory {
    head: [AtomicU64; HEAD],
    words: [AtomicU32; WORDS],
}

const _: () = assert!(size_of::<Memory>() == BYTES);

/// One family's gate in shared memory.
#[derive(Debug)]
struct Bits(NonNull<c_void>);

// SAFETY: the memory is only reached through atomics.
unsafe impl Send for Bits {}
// SAFETY: as above.
unsafe impl Sync for Bits {}

impl Bits {
    fn map(map: &MapData) -> Result<Self, Error> {
        const LENGTH: NonZeroUsize = NonZeroUsize::new(BYTES).unwrap();
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice, of the size the map was made with.
        let memory = unsafe { mmap(None, LENGTH, protection, MapFlags::MAP_SHARED, map.fd().as_fd(), 0) };
        memory.map(Self).map_err(|errno| Error::System { what: "mapping a gate", source: errno.into() })
    }

    fn memory(&self) -> &Memory {
        // SAFETY: the mapping is that long, aligned to a page, lives as long as `self`, and any bits are a word.
        unsafe { self.0.cast().as_ref() }
    }

    fn head(&self) -> &[AtomicU64; HEAD] {
        &self.memory().head
    }

    fn words(&self) -> &[AtomicU32; WORDS] {
        &self.memory().words
    }

    fn set(&self, bit: u32) {
        self.words()[word_of(bit)].fetch_or(mask_of(bit), Ordering::Relaxed);
    }
}

impl Drop for Bits {
    fn drop(&mut self) {
        // SAFETY: this mapping was made in `map`, and nothing borrows from it any more.
        let _ = unsafe { munmap(self.0, BYTES) };
    }
}
