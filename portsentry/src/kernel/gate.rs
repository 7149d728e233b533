//! The gates before the blocked maps, through shared memory. It must not know who is blocked.
//!
//! A gate has two generations; every writer sets bits in both, and programs read one. To drop stale bits, the idle
//! generation is cleared, filled again from the maps, and takes its turn. A block that the kernel enters meanwhile is in
//! the map before its bits are set, so it is found either way.

use std::{
    ffi::c_void,
    net::Ipv6Addr,
    num::NonZeroUsize,
    os::fd::AsFd,
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};

use aya::maps::{Array, MapData};
use ipnet::IpNet;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use portsentry_common::{
    address::{Ipv4, Ipv6},
    gate::{self, Gated, place},
};

use super::Error;

const WORDS: usize = gate::WORDS as usize;
const BYTES: usize = 2 * WORDS * 8;
/// Of this length an IPv6 prefix has a sixteenth as many /48s as the gate has bits.
const SHORTEST: u8 = 28;

/// Both families' gates.
#[derive(Debug)]
pub(super) struct Gate {
    v4: Bits,
    v6: Bits,
}

impl Gate {
    pub(super) fn new(v4: &MapData, v6: &MapData) -> Result<Self, Error> {
        Ok(Self { v4: Bits::map(v4)?, v6: Bits::map(v6)? })
    }

    /// Clears the generation that begins at word `offset`, which no program may read.
    pub(super) fn clear(&self, offset: u32) {
        for bits in [&self.v4, &self.v6] {
            for word in bits.words().iter().skip(offset as usize).take(WORDS) {
                word.store(0, Ordering::Relaxed);
            }
        }
    }

    /// How many bits are set of the generation that begins at word `offset`.
    pub(super) fn count(&self, offset: u32) -> usize {
        let words = [&self.v4, &self.v6]
            .into_iter()
            .flat_map(|bits| bits.words().iter().skip(offset as usize).take(WORDS));
        words.map(|word| word.load(Ordering::Relaxed).count_ones() as usize).sum()
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
            IpNet::V4(network) => {
                let first = Ipv4::from(network.network()).bit();
                let last = Ipv4::from(network.broadcast()).bit();
                (first..=last).for_each(|bit| self.v4.set(bit));
            }
            IpNet::V6(network) if network.prefix_len() < SHORTEST => {
                (0..gate::BITS).for_each(|bit| self.v6.set(bit));
            }
            IpNet::V6(network) => {
                let first = network.network().to_bits() >> 80;
                let count = 1u128 << 48u8.saturating_sub(network.prefix_len());
                for site in first..first + count {
                    self.v6.set(Ipv6::from(Ipv6Addr::from_bits(site << 80)).bit());
                }
            }
        }
    }
}

/// The map that says where the generation begins that programs read, in words.
pub(super) const GENERATION: &str = "GATE_GENERATION";

/// Which of the two generations programs read.
pub(super) struct Generation(Array<MapData, u32>);

impl Generation {
    pub(super) const fn new(map: Array<MapData, u32>) -> Self {
        Self(map)
    }

    /// Where the one begins that they read.
    pub(super) fn current(&self) -> Result<u32, Error> {
        self.0.get(&0, 0).map_err(Error::map(GENERATION))
    }

    /// Where the one begins that they don't.
    pub(super) fn idle(&self) -> Result<u32, Error> {
        Ok(if self.current()? == 0 { gate::WORDS } else { 0 })
    }

    /// Has them read that one.
    pub(super) fn turn(&mut self) -> Result<(), Error> {
        let idle = self.idle()?;
        self.0.set(0, idle, 0).map_err(Error::map(GENERATION))
    }
}

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

    fn words(&self) -> &[AtomicU64; 2 * WORDS] {
        // SAFETY: the mapping is that long, aligned to a page, lives as long as `self`, and any bits are a word.
        unsafe { self.0.cast().as_ref() }
    }

    fn set(&self, bit: u32) {
        let (word, mask) = place(bit);
        for generation in [0, WORDS] {
            if let Some(word) = self.words().get(word as usize + generation) {
                word.fetch_or(mask, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Bits {
    fn drop(&mut self) {
        // SAFETY: this mapping was made in `map`, and nothing borrows from it any more.
        let _ = unsafe { munmap(self.0, BYTES) };
    }
}
