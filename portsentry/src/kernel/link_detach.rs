//! Detaches a pinned link's program before the call returns (`BPF_LINK_DETACH`, Linux 5.9). aya 0.14 only closes the link, and then
//! the kernel detaches the program some time later.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use nix::libc;

/// Commands of bpf(2) (`include/uapi/linux/bpf.h` in the kernel).
const GET: libc::c_long = 7;
const DETACH: libc::c_long = 34;

/// The member of `union bpf_attr` for pinned objects.
#[repr(C)]
struct Pinned {
    path: u64,
    descriptor: u32,
    flags: u32,
}

/// Detaches the program of the link that is pinned at `path`. The pin stays, of a link that attaches nothing.
pub(super) fn detach_now(path: &Path) -> io::Result<()> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let mut pinned = Pinned { path: name.as_ptr().addr() as u64, descriptor: 0, flags: 0 };
    // SAFETY: the attributes have the given length, and point to a string that ends with a zero and outlives the call.
    let link = unsafe { libc::syscall(libc::SYS_bpf, GET, &raw mut pinned, size_of::<Pinned>()) };
    let link = i32::try_from(link).ok().filter(|link| *link >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the kernel has returned this descriptor, which nothing else uses.
    let link = unsafe { OwnedFd::from_raw_fd(link) };
    let mut descriptor = link.as_raw_fd();
    // SAFETY: the attributes, a descriptor alone, have the given length.
    let done = unsafe { libc::syscall(libc::SYS_bpf, DETACH, &raw mut descriptor, size_of::<i32>()) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
