//! A socket to the kernel's routing tables (rtnetlink(7)).

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use nix::sys::socket::SockProtocol;

use crate::netlink::{self, Message};

/// Receive buffer for unread messages, in bytes: a router's routes may change by the thousand.
const WAITING: usize = 4 << 20;
/// Maximum number of times that a list is read because it changes meanwhile.
const ATTEMPTS: usize = 3;

/// A socket.
#[derive(Debug)]
pub struct Socket(netlink::Socket);

impl Socket {
    /// Opens a socket subscribed to `groups`, a bit for each `RTNLGRP_*`.
    pub fn open(groups: u32) -> io::Result<Self> {
        let socket = netlink::Socket::open(SockProtocol::NetlinkRoute, None)?;
        socket.subscribe(groups)?;
        socket.enlarge(WAITING);
        Ok(Self(socket))
    }

    /// Requests a list, and calls `each` for every message. `request` is the type and the body. A list that changed
    /// meanwhile is read again, up to a limit.
    pub fn dump<T: Default>(
        &mut self,
        request: (u16, &[u8]),
        each: &mut dyn FnMut(&mut T, Message<'_>),
    ) -> io::Result<T> {
        let mut attempt = 1;
        loop {
            let mut read = T::default();
            // If the kernel broke off the list, the objects before that still count.
            let end = self.0.dump(request, &mut |message| each(&mut read, message))?;
            if !end.has_changed || attempt == ATTEMPTS {
                return Ok(read);
            }
            attempt += 1;
        }
    }

    /// Calls `each` for every pending message, up to a limit. Returns whether none is left; `ENOBUFS` means that some
    /// were lost.
    pub fn receive(&mut self, each: &mut dyn FnMut(Message<'_>)) -> io::Result<bool> {
        self.0.receive(each)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
