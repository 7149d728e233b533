//! The part of a frame that can be read and written directly.

use core::{ffi::c_void, ptr::with_exposed_provenance_mut};

use aya_ebpf::bindings::__sk_buff;
use bytemuck::{AnyBitPattern, NoUninit};
use portsentry_common::frame::{Bytes, Room};

/// A frame's first buffer, with bounds known to the verifier.
#[derive(Clone, Copy)]
pub struct Packet {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Packet {
    /// Returns the buffer between the bounds that a context gives.
    #[inline(always)]
    pub fn between(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// Returns its length in bytes.
    #[inline(always)]
    pub fn length(self) -> usize {
        self.end - self.start
    }

    /// Returns a pointer to `length` bytes at `offset`, or `None` if they aren't wholly inside the buffer.
    #[inline(always)]
    pub fn at(self, offset: usize, length: usize) -> Option<*mut c_void> {
        let at = self.start + offset;
        (at + length <= self.end).then(|| with_exposed_provenance_mut(at))
    }
}

/// Returns the part of an outgoing packet that can be read directly.
#[inline(always)]
pub fn linear(context: *mut __sk_buff) -> Packet {
    // SAFETY: fields of the context that the kernel handed to the program.
    let [start, end] = unsafe {
        [&raw const (*context).data, &raw const (*context).data_end]
            .map(|bound| bound.read_volatile() as usize)
    };
    Packet::between(start, end)
}

impl Bytes for Packet {
    /// Loads whole words: `read_unaligned` would become one load per byte, which doubles the cost of an honest
    /// packet. All supported kernels allow unaligned loads from packets.
    #[inline(always)]
    fn read<T: AnyBitPattern>(self, offset: usize) -> Option<T> {
        let at = self.start + offset;
        if at + size_of::<T>() > self.end {
            return None;
        }
        // SAFETY: the bounds were checked against `data_end`, and any bits make a `T`. The pointer may be unaligned
        // for `T`, which the BPF instruction set permits where the kernel's architecture does.
        Some(unsafe { *(at as *const T) })
    }

    #[inline(always)]
    fn reaches(self, length: usize) -> bool {
        self.start + length <= self.end
    }

    #[inline(always)]
    fn skip(self, length: usize) -> Self {
        Self { start: self.start + length, ..self }
    }
}

impl Room for Packet {
    #[inline(always)]
    fn write<T: NoUninit>(self, offset: usize, value: T) -> bool {
        let at = self.start + offset;
        if at + size_of::<T>() > self.end {
            return false;
        }
        // SAFETY: the bounds were checked against `data_end`, and XDP programs own the frame while they run. For
        // the alignment see `read`.
        unsafe { *(at as *mut T) = value };
        true
    }
}
