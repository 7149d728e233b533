//! A netlink socket that dumps one kind of object at a time (netlink(7)). It must not know what the objects are.
//!
//! Written by hand, as the crates that have the messages of `sock_diag(7)` can't send its filters.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    time::Duration,
};

use bytemuck::{Pod, Zeroable};
use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket,
            sockopt::ReceiveTimeout,
        },
        time::TimeVal,
    },
};

/// Flags of the kernel's `include/uapi/linux/netlink.h`: a request, and for all objects.
const REQUEST: u16 = 0x01;
const DUMP: u16 = 0x300;
/// Message types of the same.
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// A dump's messages fit in this (the kernel's `net/netlink/af_netlink.c` makes them at most 32 KiB long).
const BUFFER: usize = 64 * 1024;
/// How long the kernel may take for the next message.
const PATIENCE: Duration = Duration::from_secs(5);

/// `struct nlmsghdr`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Header {
    length: u32,
    r#type: u16,
    flags: u16,
    sequence: u32,
    port: u32,
}

const HEADER: usize = size_of::<Header>();

/// A socket of one netlink protocol.
#[derive(Debug)]
pub(super) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    pub(super) fn open(protocol: SockProtocol) -> io::Result<Self> {
        let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        let seconds = PATIENCE.as_secs().try_into().unwrap_or(i64::MAX);
        setsockopt(&socket.as_fd(), ReceiveTimeout, &TimeVal::new(seconds, 0))?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; BUFFER] })
    }

    /// Asks for all objects that `request` describes, and hands the body of each message of that type to `take`.
    pub(super) fn dump(
        &mut self,
        (request_type, request): (u16, &[u8]),
        wanted: u16,
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let length = u32::try_from(HEADER + request.len()).map_err(io::Error::other)?;
        let header =
            Header { length, r#type: request_type, flags: REQUEST | DUMP, sequence: self.sequence, port: 0 };
        let message = [bytemuck::bytes_of(&header), request].concat();
        send(self.socket.as_raw_fd(), &message, MsgFlags::empty())?;
        loop {
            let received = match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                received => received?,
            };
            for (header, body) in messages(&self.buffer[..received]) {
                match header.r#type {
                    // Left over from a dump that ran out of patience.
                    _ if header.sequence != self.sequence => {}
                    DONE => return outcome(body),
                    ERROR => return outcome(body).and(Err(io::ErrorKind::InvalidData.into())),
                    found if found == wanted => take(body),
                    _ => {}
                }
            }
        }
    }
}

/// What a message that ends a dump says of it: a negative error number, or 0.
fn outcome(body: &[u8]) -> io::Result<()> {
    match body.first_chunk().map(|number| i32::from_ne_bytes(*number)) {
        Some(number) if number < 0 => Err(io::Error::from_raw_os_error(-number)),
        _ => Ok(()),
    }
}

/// The messages in one datagram.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (Header, &[u8])> {
    std::iter::from_fn(move || {
        let header: Header = bytemuck::pod_read_unaligned(bytes.get(..HEADER)?);
        let (message, rest) = aligned(bytes, header.length as usize)?;
        bytes = rest;
        Some((header, message.get(HEADER..)?))
    })
}

/// The attributes in `bytes` (`struct nlattr`), each with its type.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// Flags in an attribute's type.
    const FLAGS: u16 = 0xc000;
    std::iter::from_fn(move || {
        let [length, r#type] = [bytes.get(..2)?, bytes.get(2..4)?].map(bytemuck::pod_read_unaligned::<u16>);
        let (attribute, rest) = aligned(bytes, length.into())?;
        bytes = rest;
        Some((r#type & !FLAGS, attribute.get(4..)?))
    })
}

/// What takes the first `length` bytes, and what begins at the next multiple of four behind them.
fn aligned(bytes: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    Some((bytes.get(..length)?, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_to_their_end_and_no_further() {
        let bytes = [7, 0, 5, 0x80, 1, 2, 3, 0, 5, 0, 9, 0, 4];
        let read: Vec<_> = attributes(&bytes).collect();
        assert_eq!(read, [(5, &[1, 2, 3][..]), (9, &[4])]);
        for damaged in [&bytes[..6], &[3, 0, 1, 0], &[0; 8], &[]] {
            assert_eq!(attributes(damaged).count(), 0, "{damaged:?}");
        }
    }

    #[test]
    fn a_message_says_why_a_dump_ended() {
        assert!(outcome(&0_i32.to_ne_bytes()).is_ok() && outcome(&[]).is_ok());
        let error = outcome(&(-nix::libc::EPERM).to_ne_bytes()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}
