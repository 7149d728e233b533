//! How the kernel came to accept a connection (`tcp(7)`).
//!
//! A SYN's sender is proven by its acknowledgement of a number that only it was sent. The kernel keeps a SYN for which it
//! drew such a number and waits. Under a flood it answers from a SYN cookie instead, keeps nothing, and later accepts every
//! acknowledgement that fits one of some millions of numbers, however many are tried. With Fast Open it accepts a
//! connection on its SYN alone.

use std::{
    ffi::{c_int, c_void},
    io,
    os::fd::{AsFd, AsRawFd},
};

use nix::libc;

/// The longest SYN that is read: an IPv6 header, extension headers and TCP's, as a SYN without data has them.
const SYN: libc::socklen_t = 2048;

/// The size of an option's value.
const INTEGER: libc::socklen_t = 4;
const _: () = assert!(size_of::<c_int>() == INTEGER as usize);

/// Has the kernel keep the SYN of each connection to `listener` that [`is_awaited`] can tell of, and accept none by Fast
/// Open, whatever `net.ipv4.tcp_fastopen` says. The socket must listen already: listening applies that setting.
pub fn await_acknowledgements(listener: &impl AsFd) -> io::Result<()> {
    set(listener, libc::TCP_FASTOPEN, 0)?;
    set(listener, libc::TCP_SAVE_SYN, 1)
}

/// Returns whether the kernel kept the SYN of `connection`, and so drew the number that was acknowledged. It can be asked
/// once. An error counts as no.
pub fn is_awaited(connection: &impl AsFd) -> bool {
    let mut syn = [0_u8; SYN as usize];
    let mut length = SYN;
    // SAFETY: the kernel writes at most `length` bytes to `syn`, and how many they were to `length`.
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
    // SAFETY: the option is an integer, of which the kernel reads as many bytes as are said.
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
