//! Batch operations on hash maps and arrays: many entries per system call (`BPF_MAP_*_BATCH`, Linux 5.6). aya 0.14 lacks them.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

use bytemuck::{Pod, Zeroable};
use nix::libc;

/// Commands of bpf(2) (`include/uapi/linux/bpf.h` in the kernel).
const LOOKUP: libc::c_long = 24;
const UPDATE: libc::c_long = 26;
const DELETE: libc::c_long = 27;

/// Entries per call: a few megabytes.
const CHUNK: usize = 65_536;

/// The `batch` member of `union bpf_attr`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Attributes {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

/// Inserts or replaces entries, in their order. If one fails, the earlier ones are in the map.
pub(super) fn update<K: Pod, V: Pod>(map: impl AsFd, entries: &[(K, V)]) -> io::Result<()> {
    for chunk in entries.chunks(CHUNK) {
        let keys: Vec<K> = chunk.iter().map(|(key, _)| *key).collect();
        let values: Vec<V> = chunk.iter().map(|(_, value)| *value).collect();
        let mut attributes = attributes(&map, chunk.len());
        attributes.keys = keys.as_ptr().addr() as u64;
        attributes.values = values.as_ptr().addr() as u64;
        // SAFETY: both arrays have the length in `count` and the map's key and value sizes, and outlive the call.
        unsafe { bpf(UPDATE, &mut attributes) }?;
    }
    Ok(())
}

/// Deletes entries. A missing entry is no error.
pub(super) fn delete<K: Pod>(map: impl AsFd, keys: &[K]) -> io::Result<()> {
    let mut left = keys;
    while !left.is_empty() {
        let chunk = &left[..left.len().min(CHUNK)];
        let mut attributes = attributes(&map, chunk.len());
        attributes.keys = chunk.as_ptr().addr() as u64;
        // SAFETY: the array has the length in `count` and the map's key size, and outlives the call.
        let done = match unsafe { bpf(DELETE, &mut attributes) } {
            Ok(()) => chunk.len(),
            // The kernel stops at the first missing entry.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => attributes.count as usize + 1,
            Err(error) => return Err(error),
        };
        left = left.get(done..).unwrap_or_default();
    }
    Ok(())
}

/// Reads all entries of a hash map with at most `capacity` entries. An entry can appear twice only if another
/// process changes the map meanwhile.
pub(super) fn read<K: Pod, V: Pod>(map: impl AsFd, capacity: u32) -> io::Result<Vec<(K, V)>> {
    let octets = read_octets(map, capacity, (size_of::<K>(), size_of::<V>()))?;
    let keys = octets.keys.chunks_exact(size_of::<K>()).map(bytemuck::pod_read_unaligned);
    Ok(keys.zip(octets.values.chunks_exact(size_of::<V>()).map(bytemuck::pod_read_unaligned)).collect())
}

/// Entries of a map, concatenated.
#[derive(Debug, Default)]
pub(super) struct Octets {
    pub keys: Vec<u8>,
    pub values: Vec<u8>,
}

/// Like [`read`], but for keys and values given only by their sizes, which must be the map's.
pub(super) fn read_octets(map: impl AsFd, capacity: u32, (key, value): (usize, usize)) -> io::Result<Octets> {
    let mut all = Octets::default();
    // The position in the map has at most the length of a key, but at least four octets.
    let (mut place, mut next) = ([0u8; 64], [0u8; 64]);
    let mut is_first = true;
    let mut size = CHUNK.min(capacity as usize).max(1);
    loop {
        let (mut keys, mut values) = (vec![0u8; size * key], vec![0u8; size * value]);
        let mut attributes = attributes(&map, size);
        attributes.in_batch = if is_first { 0 } else { place.as_mut_ptr().addr() as u64 };
        attributes.out_batch = next.as_mut_ptr().addr() as u64;
        attributes.keys = keys.as_mut_ptr().addr() as u64;
        attributes.values = values.as_mut_ptr().addr() as u64;
        // SAFETY: both arrays have the length in `count` and the map's key and value sizes; the positions are
        // longer than any key used here; all outlive the call.
        let done = unsafe { bpf(LOOKUP, &mut attributes) };
        let is_last = match done {
            Ok(()) => false,
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
            // A bucket holds more entries than the arrays have room for.
            Err(error) if error.raw_os_error() == Some(libc::ENOSPC) && size < 1 << 24 => {
                size *= 2;
                continue;
            }
            Err(error) => return Err(error),
        };
        let count = attributes.count as usize;
        all.keys.extend(keys.iter().take(count * key));
        all.values.extend(values.iter().take(count * value));
        // A process that keeps filling the map must not keep its reader busy for ever.
        if is_last || all.keys.len() > 2 * capacity as usize * key {
            return Ok(all);
        }
        place = next;
        is_first = false;
    }
}

fn attributes(map: &impl AsFd, count: usize) -> Attributes {
    Attributes {
        count: u32::try_from(count).unwrap_or(u32::MAX),
        map: map.as_fd().as_raw_fd().cast_unsigned(),
        ..Attributes::zeroed()
    }
}

/// Calls bpf(2).
///
/// # Safety
///
/// The addresses in `attributes` must point to memory that `command` may read and write, up to the length in
/// `count`.
unsafe fn bpf(command: libc::c_long, attributes: &mut Attributes) -> io::Result<()> {
    // SAFETY: the attributes are a prefix of the kernel's union, of the given size; the caller guarantees the rest.
    let done = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<Attributes>())
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
