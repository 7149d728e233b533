//! An open connection to a trap.

use std::{
    io,
    net::{Shutdown, TcpStream},
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

use nix::sys::socket::{MsgFlags, recv, send};

/// Maximum time for a client to read the banner.
const PATIENCE: Duration = Duration::from_secs(3);
/// Number of reads of what a client sends, of a kibibyte each.
const READS: u32 = 64;

/// A connection that is sent the banner, and closed once the client has ended it: closing earlier would reset the
/// connection, and lose the banner.
pub(super) struct Guest {
    stream: TcpStream,
    /// Bytes of the banner that were sent; `None` once all were.
    sent: Option<usize>,
    reads: u32,
    until: Instant,
}

impl Guest {
    /// Sends the banner; returns the connection if it is still open.
    pub(super) fn welcome(stream: TcpStream, banner: &[u8]) -> Option<Self> {
        let now = Instant::now();
        let mut guest = Self { stream, sent: Some(0), reads: READS, until: now + PATIENCE };
        guest.send(banner).is_ok().then_some(guest)
    }

    /// Goes on with the banner, and reads what the client sends; returns whether the connection stays open at `now`.
    pub(super) fn stays(&mut self, banner: &[u8], now: Instant) -> bool {
        now < self.until && self.send(banner).is_ok() && self.reads_on()
    }

    /// Sends what is left of the banner, and then an end.
    fn send(&mut self, banner: &[u8]) -> io::Result<()> {
        while let Some(rest) = self.sent.and_then(|sent| banner.get(sent..)) {
            if rest.is_empty() {
                self.sent = None;
                return self.stream.shutdown(Shutdown::Write);
            }
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            match send(self.stream.as_raw_fd(), rest, flags) {
                Ok(count) => self.sent = self.sent.map(|sent| sent + count),
                Err(nix::Error::EAGAIN) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Reads all that is there; returns whether more may come.
    fn reads_on(&mut self) -> bool {
        let mut rest = [0; 1024];
        while self.reads > 0 {
            match recv(self.stream.as_raw_fd(), &mut rest, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return false,
                Ok(_) => self.reads -= 1,
                Err(errno) => return errno == nix::Error::EAGAIN,
            }
        }
        false
    }
}
