//! Netlink sockets: dumps of the kernel's objects, and its messages about changes (netlink(7)).
//!
//! Written by hand: the crates that exist take interface names for UTF-8, and can't send the filters of
//! `sock_diag(7)`.

mod attributes;
mod message;

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    libc,
    sys::{
        socket::{
            AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
            setsockopt, socket, sockopt,
        },
        time::{TimeVal, TimeValLike},
    },
};

use self::message::{messages, outcome, request};

pub use self::{
    attributes::{address, attribute, attributes, u16_at, u32_at, written},
    message::Message,
};

/// Bytes for one read. The kernel fills at most 32 KiB, unless one interface alone takes more (`net/netlink/af_netlink.c`).
const BUFFER: usize = 256 << 10;

/// A socket of one netlink protocol.
#[derive(Debug)]
pub struct Socket {
    descriptor: OwnedFd,
    buffer: Vec<u8>,
    sequence: u32,
}

/// How the kernel ended a dump.
#[derive(Debug)]
pub struct End {
    /// Whether objects changed while they were listed (`NLM_F_DUMP_INTR`).
    pub has_changed: bool,
    /// Why the kernel broke the dump off (the body of `NLMSG_DONE`).
    pub failure: Option<io::Error>,
}

impl Socket {
    /// Opens a socket whose dumps wait at most `patience` for the kernel's next message; without one, as long as it takes.
    pub fn open(protocol: SockProtocol, patience: Option<Duration>) -> io::Result<Self> {
        let descriptor = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        if let Some(patience) = patience {
            let patience = TimeVal::milliseconds(i64::try_from(patience.as_millis()).unwrap_or(i64::MAX));
            setsockopt(&descriptor, sockopt::ReceiveTimeout, &patience)?;
        }
        Ok(Self { descriptor, buffer: vec![0; BUFFER], sequence: 0 })
    }

    /// Subscribes to the multicast `groups`, a bit for each.
    pub fn subscribe(&self, groups: u32) -> io::Result<()> {
        Ok(bind(self.descriptor.as_raw_fd(), &NetlinkAddr::new(0, groups))?)
    }

    /// Sets how many bytes of unread messages the kernel keeps, where this process has the privilege (`SO_RCVBUFFORCE`).
    /// Without it the kernel's default stands.
    pub fn enlarge(&self, bytes: usize) {
        let _ = setsockopt(&self.descriptor, sockopt::RcvBufForce, &bytes);
    }

    /// Asks for all objects that a request of that type and body describes, and calls `each` for every message.
    pub fn dump(&mut self, (kind, body): (u16, &[u8]), each: &mut dyn FnMut(Message<'_>)) -> io::Result<End> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = request(kind, self.sequence, body)?;
        send(self.descriptor.as_raw_fd(), &request, MsgFlags::empty())?;
        let mut has_changed = false;
        loop {
            let length = match recv(self.descriptor.as_raw_fd(), &mut self.buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                received => received?,
            };
            for (sequence, message) in messages(self.buffer.get(..length).unwrap_or_default()) {
                // Left over from a dump that ran out of patience.
                if sequence != self.sequence {
                    continue;
                }
                has_changed |= i32::from(message.flags) & libc::NLM_F_DUMP_INTR != 0;
                match i32::from(message.kind) {
                    libc::NLMSG_DONE => return Ok(End { has_changed, failure: outcome(message.body).err() }),
                    libc::NLMSG_ERROR => {
                        return outcome(message.body).and(Err(io::ErrorKind::InvalidData.into()));
                    }
                    _ => each(message),
                }
            }
        }
    }

    /// Like [`Socket::dump`], but calls `take` for the bodies of messages of the `wanted` type alone, and returns an error if the
    /// kernel breaks the dump off. Objects may change meanwhile.
    pub fn list(
        &mut self,
        request: (u16, &[u8]),
        wanted: u16,
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        let end = self.dump(request, &mut |message| {
            if message.kind == wanted {
                take(message.body);
            }
        })?;
        end.failure.map_or(Ok(()), Err)
    }

    /// Calls `each` for every message that waits, up to a bound. Returns whether none is left; `ENOBUFS` means that some were lost.
    pub fn receive(&mut self, each: &mut dyn FnMut(Message<'_>)) -> io::Result<bool> {
        const READS: usize = 64;
        for _ in 0..READS {
            match recv(self.descriptor.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => {
                    let bytes = self.buffer.get(..length).unwrap_or_default();
                    messages(bytes).for_each(|(_, message)| each(message));
                }
                Err(Errno::EAGAIN) => return Ok(true),
                Err(Errno::EINTR) => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dumps_follow_each_other_on_one_socket() {
        let mut socket = Socket::open(SockProtocol::NetlinkRoute, Some(Duration::from_secs(5))).unwrap();
        for _ in 0..2 {
            let mut links = 0;
            let request = (libc::RTM_GETLINK, &[0; 16][..]);
            socket.list(request, libc::RTM_NEWLINK, |_| links += 1).unwrap();
            assert!(links > 0, "there is loopback at least");
            socket.list(request, libc::RTM_NEWADDR, |_| panic!("a type that nobody wants")).unwrap();
        }
    }

    #[test]
    fn a_request_that_the_kernel_refuses_is_an_error() {
        let mut socket = Socket::open(SockProtocol::NetlinkSockDiag, Some(Duration::from_secs(5))).unwrap();
        // A message type that sock_diag has not.
        let error = socket.dump((99, &[0; 4]), &mut |_| ()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{error}");
    }

    #[test]
    fn nothing_waits_for_a_socket_that_asked_for_nothing() {
        let mut socket = Socket::open(SockProtocol::NetlinkRoute, None).unwrap();
        assert!(socket.receive(&mut |_| panic!("a message")).unwrap());
    }
}
