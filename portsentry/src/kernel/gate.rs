//! The gates before the maps of blocked and fenced sources, in shared memory.
//!
//! Each bit has two copies in one word. Every writer sets both at once, and programs accept either. To drop stale
//! bits, the first copies are cleared and set again from the maps; then the second copies are set to the first. A
//! block that the kernel enters meanwhile is in the map before its bit is set, so it is found either way.
//!
//! Each program has its own gates, because a program can read only its own data without a look-up. New gates start
//! with all bits set if there is an earlier program: it may still enter blocks, and sets bits only in its own gates.

use std::{
    ffi::c_void,
    fs,
    num::NonZeroUsize,
    os::fd::AsFd,
    path::{Path, PathBuf},
    ptr::NonNull,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
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
    gate::{self, ALONE, Gated, HEAD, Held, LENGTH, MOMENT, NETWORKS, WORDS, mask_of, renewal, word_of},
};
use rustix::thread::{MembarrierCommand, membarrier};

use super::{Error, Pins};

const BYTES: usize = LENGTH * 8;
/// An IPv6 prefix of this length contains a sixteenth as many /48s as the gate has bits.
const SHORTEST: u8 = 28;

/// Pins of the attached program's gates, IPv4's and IPv6's.
const PINS: [&str; 2] = ["GATE_V4", "GATE_V6"];
/// Pins of the gates of a program that has yet to be attached.
const NEXT: [&str; 2] = ["GATE_V4_NEXT", "GATE_V6_NEXT"];
/// The program's sections for the gates.
const SECTIONS: [&str; 2] = [".bss.gate_v4", ".bss.gate_v6"];

/// Creates new gates and makes `loader` use them.
pub(super) fn make(pins: &Pins, loader: &mut EbpfLoader<'_>) -> Result<(), Error> {
    /// `BPF_F_MMAPABLE` (`include/uapi/linux/bpf.h` in the kernel, Linux 5.5), which the loader does not set.
    const MMAPABLE: u32 = 1 << 10;
    for (name, section) in NEXT.into_iter().zip(SECTIONS) {
        let path = pins.map(name);
        // It is from a daemon that died before attaching its program.
        if path.exists() {
            fs::remove_file(&path).map_err(|error| failed(path.clone(), &error))?;
        }
        let map = Array::<_, [u64; LENGTH]>::create(1, MMAPABLE).map_err(Error::map(name))?;
        map.map().pin(&path).map_err(|error| failed(path.clone(), &error))?;
        loader.map_pin_path(section, path);
    }
    Ok(())
}

/// Pins the gates of the program that has just been attached under their final names.
pub(super) fn settle(pins: &Pins) -> Result<(), Error> {
    for (next, name) in NEXT.into_iter().zip(PINS) {
        let path = pins.map(next);
        fs::rename(&path, pins.map(name)).map_err(|error| failed(path, &error))?;
    }
    Ok(())
}

/// Waits until all running programs have ended: a detached program may still enter a block.
pub(super) fn synchronize_rcu() {
    /// A program runs for microseconds, and is never interrupted for long.
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
    /// Whether second copies may be set whose first ones are clear.
    is_wide: AtomicBool,
}

impl Gate {
    /// Opens the gates of a program loaded with those of [`make`]. All bits are clear.
    pub(super) fn of(ebpf: &Ebpf) -> Result<Self, Error> {
        let [v4, v6] = SECTIONS.map(|section| match ebpf.map(section) {
            Some(Map::Array(map)) => Bits::map(map),
            _ => Err(Error::Missing(section.into())),
        });
        Ok(Self { v4: v4?, v6: v6?, is_wide: AtomicBool::new(false) })
    }

    /// Opens the gates pinned in `directory`.
    pub(super) fn pinned(directory: &Path) -> Result<Self, Error> {
        let [v4, v6] = PINS.map(|name| {
            let path = directory.join(name);
            let map = MapData::from_pin(&path).map_err(Error::map(name))?;
            if map.info().map_err(Error::map(name))?.value_size() as usize != BYTES {
                return Err(Error::of_another_version(path));
            }
            Bits::map(&map)
        });
        Ok(Self { v4: v4?, v6: v6?, is_wide: AtomicBool::new(true) })
    }

    fn bits(&self) -> [&Bits; 2] {
        [&self.v4, &self.v6]
    }

    /// Sets the second copy of every bit, and enables the look-up of networks.
    pub(super) fn open_wide(&self) {
        self.set_networks(true);
        self.is_wide.store(true, Ordering::Relaxed);
        self.bits().into_iter().for_each(|bits| renewal::set_second_copies(bits.words()));
    }

    /// Clears the first copies, calls `fill` to set bits, and then sets the second copies to the first.
    pub(super) fn renew<T, E>(&self, fill: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.is_wide.store(true, Ordering::Relaxed);
        self.bits().into_iter().for_each(|bits| renewal::clear_first_copies(bits.words()));
        let filled = fill()?;
        self.close();
        Ok(filled)
    }

    /// Clears the second copies of bits whose first copies are clear.
    pub(super) fn close(&self) {
        if !self.is_wide.swap(false, Ordering::Relaxed) {
            return;
        }
        self.bits().into_iter().for_each(|bits| renewal::copy_first_to_second(bits.words()));
    }

    /// Enables the look-up of IPv6 sources that are blocked or fenced by themselves.
    pub(super) fn set_alone(&self) {
        self.v6.head()[ALONE].store(1, Ordering::Release);
    }

    /// Enables or disables the look-up of blocked networks.
    pub(super) fn set_networks(&self, are_any: bool) {
        for bits in self.bits() {
            bits.head()[NETWORKS].store(are_any.into(), Ordering::Release);
        }
    }

    /// Invalidates the benign-flow cache until the next packet that the cache doesn't cover.
    pub(super) fn forget(&self) {
        for bits in self.bits() {
            bits.head()[MOMENT].store(0, Ordering::Relaxed);
        }
    }

    /// Returns the number of bits that are set.
    pub(super) fn count(&self) -> usize {
        self.bits().into_iter().map(|bits| renewal::count(bits.words())).sum()
    }

    pub(super) fn set_v4(&self, bit: u32, held: Held) {
        self.v4.set(bit, held);
    }

    pub(super) fn set_v6(&self, bit: u32, held: Held) {
        self.v6.set(bit, held);
    }

    /// Sets the bits of all hosts in the blocked `network`. For an IPv6 network shorter than [`SHORTEST`], sets all bits.
    pub(super) fn set_network(&self, network: IpNet) {
        match network {
            IpNet::V4(network) => Ipv4Subnets::new(network.network(), network.broadcast(), 24)
                .for_each(|subnet| self.v4.set(Ipv4::from(subnet.network()).bit(), Held::Blocked)),
            IpNet::V6(network) if network.prefix_len() < SHORTEST => {
                (0..gate::BITS).for_each(|bit| self.v6.set(bit, Held::Blocked));
            }
            IpNet::V6(network) => Ipv6Subnets::new(network.network(), network.broadcast(), 48)
                .for_each(|subnet| self.v6.set(Ipv6::from(subnet.network()).bit(), Held::Blocked)),
        }
    }
}

/// The layout of a gate in memory.
#[repr(C)]
struct Memory {
    head: [AtomicU64; HEAD],
    words: [AtomicU32; WORDS],
}

const _: () = assert!(size_of::<Memory>() == BYTES);

/// One family's gate in shared memory.
#[derive(Debug)]
struct Bits(NonNull<c_void>);

// SAFETY: the memory is only accessed through atomics.
unsafe impl Send for Bits {}
// SAFETY: as above.
unsafe impl Sync for Bits {}

impl Bits {
    fn map(map: &MapData) -> Result<Self, Error> {
        const LENGTH: NonZeroUsize = NonZeroUsize::new(BYTES).unwrap();
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, at an address that the kernel chooses, with the map's size.
        let memory = unsafe { mmap(None, LENGTH, protection, MapFlags::MAP_SHARED, map.fd().as_fd(), 0) };
        memory.map(Self).map_err(|errno| Error::System { what: "mapping a gate", source: errno.into() })
    }

    fn memory(&self) -> &Memory {
        // SAFETY: the mapping has that length, is aligned to a page, and lives as long as `self`. Any bits are a
        // valid word.
        unsafe { self.0.cast().as_ref() }
    }

    fn head(&self) -> &[AtomicU64; HEAD] {
        &self.memory().head
    }

    fn words(&self) -> &[AtomicU32; WORDS] {
        &self.memory().words
    }

    fn set(&self, bit: u32, held: Held) {
        self.words()[word_of(bit)].fetch_or(mask_of(bit, held), Ordering::Relaxed);
    }
}

impl Drop for Bits {
    fn drop(&mut self) {
        // SAFETY: `map` made this mapping, and nothing borrows from it any more.
        let _ = unsafe { munmap(self.0, BYTES) };
    }
}
