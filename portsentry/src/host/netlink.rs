//! A socket to the kernel's routing tables (rtnetlink(7)).

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use nix::sys::socket::SockProtocol;

use crate::netlink::{self, Message};

/// Bytes of unread messages that the kernel keeps: a router's routes may change by the thousand.
const WAITING: usize = 4 << 20;
/// A list is read again if it changed under the reader, but no more often than this.
const ATTEMPTS: usize = 3;

/// A socket.
#[derive(Debug)]
pub struct Socket(netlink::Socket);

impl Socket {
    /// Opens a socket that the messages of `groups` come to, a bit for each `RTNLGRP_*`.
    pub fn open(groups: u32) -> io::Result<Self> {
        let socket = netlink::Socket::open(SockProtocol::NetlinkRoute, None)?;
        socket.subscribe(groups)?;
        socket.enlarge(WAITING);
        Ok(Self(socket))
    }

    /// Asks for a list, and calls `each` for every message of it. `request` is the type and the body.
    /// A list that changed meanwhile is read anew, a few times at the most.
    pub fn dump<T: Default>(
        &mut self,
        request: (u16, &[u8]),
        each: &mut dyn FnMut(&mut T, Message<'_>),
    ) -> io::Result<T> {
        let mut attempt = 1;
        loop {
            let mut read = T::default();
            // Where the kernel broke the list off, the objects before still count.
            let end = self.0.dump(request, &mut |message| each(&mut read, message))?;
            if !end.has_changed || attempt == ATTEMPTS {
                return Ok(read);
            }
            attempt += 1;
        }
    }

    /// Calls `each` for every message that waits, up to a bound. Returns whether none is left; `ENOBUFS` means that some were lost.
    pub fn receive(&mut self, each: &mut dyn FnMut(Message<'_>)) -> io::Result<bool> {
        self.0.receive(each)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
