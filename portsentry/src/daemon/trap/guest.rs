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
/// Maximum number of reads of a client's data, of up to 1 KiB each.
const READS: u32 = 64;

/// A connection that gets the banner. It is closed once the client has closed it: closing earlier would reset it,
/// and the banner would be lost.
pub(super) struct Guest {
    stream: TcpStream,
    /// Bytes of the banner that were sent; `None` once all were.
    sent: Option<usize>,
    reads: u32,
    until: Instant,
}

impl Guest {
    /// Sends the banner. Returns the connection if it is still open.
    pub(super) fn welcome(stream: TcpStream, banner: &[u8]) -> Option<Self> {
        let now = Instant::now();
        let mut guest = Self { stream, sent: Some(0), reads: READS, until: now + PATIENCE };
        guest.send(banner).is_ok().then_some(guest)
    }

    /// Continues with the banner, and reads the client's data. Returns whether the connection stays open at `now`.
    pub(super) fn stays(&mut self, banner: &[u8], now: Instant) -> bool {
        now < self.until && self.send(banner).is_ok() && self.reads_on()
    }

    /// Sends the rest of the banner, and then closes the sending side.
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

    /// Reads all available data. Returns whether more may come.
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
