//! Determines how the kernel accepted a connection (`tcp(7)`).
//!
//! A SYN's source is proven if it acknowledges a number that was sent only to it. Normally the kernel stores the
//! SYN with that number and waits. Under a SYN flood it answers with a SYN cookie, stores nothing, and accepts any
//! acknowledgement that matches one of some millions of numbers, without a limit on attempts. With Fast Open it
//! accepts a connection on the SYN alone.

use std::{
    ffi::{c_int, c_void},
    io,
    os::fd::{AsFd, AsRawFd},
};

use nix::libc;

/// Maximum length of a SYN that is read: IPv6, extension and TCP headers.
const SYN: libc::socklen_t = 2048;

/// Size of an option's value.
const INTEGER: libc::socklen_t = 4;
const _: () = assert!(size_of::<c_int>() == INTEGER as usize);

/// Makes the kernel keep the SYN of each connection to `listener`, for [`is_awaited`]. Disables Fast Open, whatever
/// `net.ipv4.tcp_fastopen` is. The socket must already listen, because listening applies that setting.
pub fn await_acknowledgements(listener: &impl AsFd) -> io::Result<()> {
    set(listener, libc::TCP_FASTOPEN, 0)?;
    set(listener, libc::TCP_SAVE_SYN, 1)
}

/// Whether the kernel kept the SYN of `connection`, and therefore chose the acknowledged number. Can be called
/// once. An error counts as no.
pub fn is_awaited(connection: &impl AsFd) -> bool {
    let mut syn = [0_u8; SYN as usize];
    let mut length = SYN;
    // SAFETY: the kernel writes at most `length` bytes to `syn`, and their number to `length`.
    let status = unsafe {
        libc::getsockopt(
            connection.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_SAVED_SYN,
            syn.as_mut_ptr().cast::<c_void>(),
            &raw mut length,
        )
    };
    status == 0 && length > 0
}

fn set(socket: &impl AsFd, option: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the option is an integer, and the kernel reads the given number of its bytes.
    let status = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            option,
            (&raw const value).cast::<c_void>(),
            INTEGER,
        )
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
