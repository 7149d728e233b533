//! Netlink sockets: dumps of the kernel's objects, and messages about changes (netlink(7)).
//!
//! Hand-written, because existing crates require interface names in UTF-8, and can't send the filters of
//! `sock_diag(7)`.

mod attributes;
mod message;

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    libc, setsockopt_impl, sockopt_impl,
    sys::{
        socket::{
            AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
            setsockopt, socket, sockopt,
        },
        time::{TimeVal, TimeValLike},
    },
};

use self::message::{ACK, DUMP, REQUEST, messages, outcome, request};

pub use nix::sys::socket::SockProtocol as Protocol;

pub use self::{
    attributes::{address, attribute, attributes, u16_at, u32_at, written},
    message::Message,
};

/// Size of the read buffer in bytes. The kernel sends at most 32 KiB at a time, unless one interface alone needs
/// more (`net/netlink/af_netlink.c`).
const BUFFER: usize = 256 << 10;

sockopt_impl!(
    /// `NETLINK_GET_STRICT_CHK`
    StrictCheck,
    SetOnly,
    libc::SOL_NETLINK,
    libc::NETLINK_GET_STRICT_CHK,
    bool
);

/// A socket of one netlink protocol.
#[derive(Debug)]
pub struct Socket {
    descriptor: OwnedFd,
    buffer: Vec<u8>,
    sequence: u32,
}

/// End of a dump.
#[derive(Debug)]
pub struct End {
    /// Whether objects changed while they were listed (`NLM_F_DUMP_INTR`).
    pub has_changed: bool,
    /// The kernel's reason for breaking off the dump (the body of `NLMSG_DONE`).
    pub failure: Option<io::Error>,
}

impl Socket {
    /// Opens a socket whose dumps wait at most `patience` for the kernel's next message, or without a limit for
    /// `None`.
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

    /// Has the kernel check and apply the attributes of a request for a dump, such as a routing table
    /// (`NETLINK_GET_STRICT_CHK`, Linux 4.20).
    pub fn check_strictly(&self) -> io::Result<()> {
        Ok(setsockopt(&self.descriptor, StrictCheck, &true)?)
    }

    /// Sets the size of the receive buffer in bytes, if this process has the privilege (`SO_RCVBUFFORCE`).
    /// Otherwise the kernel's default stays.
    pub fn enlarge(&self, bytes: usize) {
        let _ = setsockopt(&self.descriptor, sockopt::RcvBufForce, &bytes);
    }

    /// Requests all objects with this type and body, and calls `each` for every message.
    pub fn dump(&mut self, (kind, body): (u16, &[u8]), each: &mut dyn FnMut(Message<'_>)) -> io::Result<End> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = request((kind, DUMP), self.sequence, body)?;
        send(self.descriptor.as_raw_fd(), &request, MsgFlags::empty())?;
        let mut has_changed = false;
        loop {
            let length = match recv(self.descriptor.as_raw_fd(), &mut self.buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                received => received?,
            };
            for (sequence, message) in messages(self.buffer.get(..length).unwrap_or_default()) {
                // The message belongs to an earlier dump that timed out.
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

    /// Like [`Socket::dump`], but calls `take` only for the bodies of messages of the `wanted` type, and returns an
    /// error if the kernel breaks off the dump. Objects may change meanwhile.
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

    /// Requests one object with this type and body, and returns the body of its message. Returns `None` if it
    /// doesn't exist.
    pub fn ask(&mut self, (kind, body): (u16, &[u8])) -> io::Result<Option<Vec<u8>>> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = request((kind, REQUEST), self.sequence, body)?;
        send(self.descriptor.as_raw_fd(), &request, MsgFlags::empty())?;
        loop {
            let length = match recv(self.descriptor.as_raw_fd(), &mut self.buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                received => received?,
            };
            let mut answers = messages(self.buffer.get(..length).unwrap_or_default());
            let Some((_, message)) = answers.find(|(sequence, _)| *sequence == self.sequence) else {
                continue;
            };
            if i32::from(message.kind) != libc::NLMSG_ERROR {
                return Ok(Some(message.body.to_vec()));
            }
            return match outcome(message.body) {
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
                done => done.map(|()| None),
            };
        }
    }

    /// Requests a change with this type, these flags and this body, and waits for its outcome.
    pub fn change(&mut self, (kind, flags): (u16, u16), body: &[u8]) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = request((kind, REQUEST | ACK | flags), self.sequence, body)?;
        send(self.descriptor.as_raw_fd(), &request, MsgFlags::empty())?;
        loop {
            let length = match recv(self.descriptor.as_raw_fd(), &mut self.buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                received => received?,
            };
            let mut answers = messages(self.buffer.get(..length).unwrap_or_default());
            if let Some((_, answer)) = answers.find(|(sequence, _)| *sequence == self.sequence) {
                return outcome(answer.body);
            }
        }
    }

    /// Calls `each` for every pending message, up to a limit. Returns whether none is left; `ENOBUFS` means that some
    /// were lost.
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

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
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
            socket.list(request, libc::RTM_NEWADDR, |_| panic!("a type that was not requested")).unwrap();
        }
    }

    #[test]
    fn a_request_that_the_kernel_refuses_is_an_error() {
        let mut socket = Socket::open(SockProtocol::NetlinkSockDiag, Some(Duration::from_secs(5))).unwrap();
        // A message type that sock_diag does not have.
        let error = socket.dump((99, &[0; 4]), &mut |_| ()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{error}");
    }

    #[test]
    fn one_object_is_found_or_missing() {
        let mut socket = Socket::open(SockProtocol::NetlinkRoute, Some(Duration::from_secs(5))).unwrap();
        let loopback = |index: i32| [&[0; 4][..], &index.to_ne_bytes(), &[0; 8]].concat();
        let body = socket.ask((libc::RTM_GETLINK, &loopback(1))).unwrap().unwrap();
        assert_eq!(u32_at(&body, 4), Some(1));
        let error = socket.ask((libc::RTM_GETLINK, &loopback(i32::MAX))).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV), "{error}");
    }

    #[test]
    fn nothing_waits_for_a_socket_that_asked_for_nothing() {
        let mut socket = Socket::open(SockProtocol::NetlinkRoute, None).unwrap();
        assert!(socket.receive(&mut |_| panic!("a message")).unwrap());
    }
}
