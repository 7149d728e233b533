//! The slots of the table of bound ports, in memory shared with the kernel program.

use std::{
    borrow::Borrow,
    ffi::c_void,
    num::NonZeroUsize,
    os::fd::AsFd,
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering},
};

use aya::maps::{Array, IterableMap, MapData};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use portsentry_common::bound::{SLOTS, Slot};

use super::super::Error;

const BYTES: usize = SLOTS * size_of::<Slot>();

/// A [`Slot`] that programs may write concurrently.
#[repr(C)]
struct Shared {
    bound: AtomicU32,
    open: AtomicU32,
}

const _: () = assert!(size_of::<Shared>() == size_of::<Slot>());

/// All slots.
#[derive(Debug)]
pub(super) struct Slots(NonNull<c_void>);

// SAFETY: the memory is only accessed through atomics.
unsafe impl Send for Slots {}
// SAFETY: as above.
unsafe impl Sync for Slots {}

impl Slots {
    pub(super) fn of<T: Borrow<MapData>>(map: &Array<T, u64>) -> Result<Self, Error> {
        const LENGTH: NonZeroUsize = NonZeroUsize::new(BYTES).unwrap();
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let file = map.map().fd().as_fd();
        // SAFETY: a new mapping, at an address that the kernel chooses, with the map's size.
        let memory = unsafe { mmap(None, LENGTH, protection, MapFlags::MAP_SHARED, file, 0) };
        memory.map(Self).map_err(|errno| Error::System { what: "mapping bound ports", source: errno.into() })
    }

    fn slots(&self) -> &[Shared; SLOTS] {
        // SAFETY: the mapping has that length, is aligned to a page, and lives as long as `self`. Any bits are a
        // valid slot.
        unsafe { self.0.cast().as_ref() }
    }

    pub(super) fn bound(&self, slot: usize) -> u32 {
        self.slots()[slot].bound.load(Ordering::Relaxed)
    }

    pub(super) fn set_bound(&self, slot: usize, stamp: u32) {
        self.slots()[slot].bound.store(stamp, Ordering::Relaxed);
    }

    pub(super) fn set_open(&self, slot: usize, stamp: u32) {
        self.slots()[slot].open.store(stamp, Ordering::Relaxed);
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        // SAFETY: `of` made this mapping, and nothing borrows from it any more.
        let _ = unsafe { munmap(self.0, BYTES) };
    }
}
