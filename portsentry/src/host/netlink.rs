//! A socket to the kernel's routing tables (rtnetlink(7)). It must not know what the messages mean.
//!
//! Not a library's: those that there are take names for UTF-8, and leave out an interface whose name isn't.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use nix::{
    libc,
    sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt,
        socket, sockopt,
    },
};

use super::attributes::{u16_at, u32_at};

/// Bytes of a message's header: length, type, flags, sequence number, sender.
const HEADER: usize = 16;
/// Room for one read. The kernel fills 32 KiB at the most, unless one interface alone takes more.
const BUFFER: usize = 256 << 10;
/// Room in the kernel for messages that wait to be read.
const WAITING: usize = 4 << 20;
/// A list is read again if it changed under the reader, but no more often than this.
const ATTEMPTS: usize = 3;

/// A message without its header.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its type, as `RTM_NEWLINK`.
    pub kind: u16,
    /// Its flags, as `NLM_F_REPLACE`.
    pub flags: u16,
    /// What follows the header.
    pub body: &'a [u8],
}

/// A socket.
#[derive(Debug)]
pub struct Socket {
    descriptor: OwnedFd,
    buffer: Vec<u8>,
    sequence: u32,
}

impl Socket {
    /// Opens a socket that the messages of `groups` come to, a bit for each `RTNLGRP_*`.
    pub fn open(groups: u32) -> io::Result<Self> {
        let (family, protocol) = (AddressFamily::Netlink, SockProtocol::NetlinkRoute);
        let descriptor = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        bind(descriptor.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        // More than what everybody may have needs a privilege; without it the kernel's default serves.
        let _ = setsockopt(&descriptor, sockopt::RcvBufForce, &WAITING);
        Ok(Self { descriptor, buffer: vec![0; BUFFER], sequence: 0 })
    }

    /// Asks for a list, and calls `each` for every message of it. `request` is the type and the body.
    /// A list that changed meanwhile is read anew, a few times at the most.
    pub fn dump<T: Default>(
        &mut self,
        (kind, body): (libc::c_ushort, &[u8]),
        each: &mut dyn FnMut(&mut T, Message<'_>),
    ) -> io::Result<T> {
        let mut attempt = 1;
        loop {
            let mut read = T::default();
            let is_whole = self.dump_once((kind, body), &mut |message| each(&mut read, message))?;
            if is_whole || attempt == ATTEMPTS {
                return Ok(read);
            }
            attempt += 1;
        }
    }

    /// Whether the list stayed the same while it was read.
    fn dump_once(&mut self, request: (u16, &[u8]), each: &mut dyn FnMut(Message<'_>)) -> io::Result<bool> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = self.request(request);
        send(self.descriptor.as_raw_fd(), &request, MsgFlags::empty())?;
        let mut is_whole = true;
        loop {
            let length = recv(self.descriptor.as_raw_fd(), &mut self.buffer, MsgFlags::empty())?;
            for (sequence, message) in messages(self.buffer.get(..length).unwrap_or_default()) {
                if sequence != self.sequence {
                    continue;
                }
                is_whole &= i32::from(message.flags) & libc::NLM_F_DUMP_INTR == 0;
                match i32::from(message.kind) {
                    libc::NLMSG_DONE => return Ok(is_whole),
                    libc::NLMSG_ERROR => return Err(refusal(message.body)),
                    _ => each(message),
                }
            }
        }
    }

    fn request(&self, (kind, body): (u16, &[u8])) -> Vec<u8> {
        let flags = u16::try_from(libc::NLM_F_REQUEST | libc::NLM_F_DUMP).unwrap_or_default();
        let length = u32::try_from(HEADER + body.len()).unwrap_or_default();
        let mut request = length.to_ne_bytes().to_vec();
        request.extend(kind.to_ne_bytes());
        request.extend(flags.to_ne_bytes());
        request.extend(self.sequence.to_ne_bytes());
        request.extend([0; 4]);
        request.extend(body);
        request
    }

    /// Calls `each` for every message that waits, up to a bound; whether none is left. `ENOBUFS` says that some were lost.
    pub fn receive(&mut self, each: &mut dyn FnMut(Message<'_>)) -> io::Result<bool> {
        const READS: usize = 64;
        for _ in 0..READS {
            match recv(self.descriptor.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => {
                    let bytes = self.buffer.get(..length).unwrap_or_default();
                    messages(bytes).for_each(|(_, message)| each(message));
                }
                Err(nix::Error::EAGAIN) => return Ok(true),
                Err(nix::Error::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// The messages in `bytes`, each with its sequence number.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u32, Message<'_>)> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
        let (kind, flags) = (u16_at(bytes, 4)?, u16_at(bytes, 6)?);
        let sequence = u32_at(bytes, 8)?;
        let body = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((sequence, Message { kind, flags, body }))
    })
}

/// The error that the body of an `NLMSG_ERROR` tells of.
fn refusal(body: &[u8]) -> io::Error {
    let number = u32_at(body, 0).unwrap_or_default().cast_signed();
    io::Error::from_raw_os_error(number.wrapping_neg())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_one_after_the_other() {
        let message = |kind: u16, body: &[u8]| {
            let length = u32::try_from(HEADER + body.len()).unwrap();
            let header = [length.to_ne_bytes().to_vec(), kind.to_ne_bytes().to_vec(), vec![0; 2]].concat();
            let mut bytes = [header, 7_u32.to_ne_bytes().to_vec(), vec![0; 4], body.to_vec()].concat();
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let bytes = [message(16, b"one"), message(17, b"three")].concat();
        let read: Vec<_> = messages(&bytes).map(|(number, it)| (number, it.kind, it.body)).collect();
        assert_eq!(read, [(7, 16, &b"one"[..]), (7, 17, b"three")]);
        assert_eq!(messages(bytes.get(..30).unwrap()).count(), 1, "a message that is cut off is none");
        assert_eq!(messages(&[0; 64]).count(), 0, "a length of zero ends it");
    }
}
