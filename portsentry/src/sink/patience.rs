//! How long a log may be waited for whose queue is full: long enough for one that reads, too short for a stuck one to delay
//! the files.

use std::{
    io,
    os::{fd::AsFd, unix::net::UnixDatagram},
    thread,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Time for a start, whose lines come all at once.
const MOST: Duration = Duration::from_secs(1);
/// The share of the time that may be waited: one part of so many.
const SHARE: u32 = 20;

/// A wait that took less was none.
const AT_ONCE: Duration = Duration::from_micros(50);
const PAUSE: Duration = Duration::from_millis(1);

/// What is left of the time that may be waited.
#[derive(Debug)]
pub(super) struct Patience {
    left: Duration,
    since: Instant,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { left: MOST, since: Instant::now() }
    }

    /// Sends by `send`, a call that doesn't block, and waits for room in the queue behind `socket`, if there is time.
    pub(super) fn send(
        &mut self,
        socket: &UnixDatagram,
        send: impl Fn(&UnixDatagram) -> io::Result<usize>,
    ) -> io::Result<()> {
        loop {
            match send(socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.wait(socket) => {}
                result => return result.map(drop),
            }
        }
    }

    /// Waits for room; returns `false` if there is none, or no time left.
    fn wait(&mut self, socket: &UnixDatagram) -> bool {
        let now = Instant::now();
        self.left = MOST.min(self.left + now.duration_since(self.since) / SHARE);
        self.since = now;
        let limit = PollTimeout::try_from(self.left).unwrap_or(PollTimeout::ZERO);
        if limit == PollTimeout::ZERO {
            return false;
        }
        let mut sockets = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
        let has_room = poll(&mut sockets, limit).is_ok_and(|count| count > 0);
        if now.elapsed() < AT_ONCE {
            // poll(2) knows only the queue of a socket that is connected.
            thread::sleep(PAUSE);
        }
        self.left = self.left.saturating_sub(now.elapsed());
        self.since = Instant::now();
        has_room
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    /// Sends `count` numbers, and returns how many were accepted.
    fn send_all(socket: &UnixDatagram, count: u32) -> usize {
        let mut patience = Patience::new();
        let text = |number: u32| number.to_string();
        (0..count)
            .filter(|number| patience.send(socket, |socket| socket.send(text(*number).as_bytes())).is_ok())
            .count()
    }

    #[test]
    fn a_log_that_reads_gets_every_line_however_short_its_queue() {
        let (ours, log) = UnixDatagram::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let reader = thread::spawn(move || {
            let mut bytes = [0; 16];
            (0..20_000).map(|_| log.recv(&mut bytes).unwrap()).filter(|length| *length > 0).count()
        });
        assert_eq!(send_all(&ours, 20_000), 20_000);
        assert_eq!(reader.join().unwrap(), 20_000);
    }

    #[test]
    fn a_stuck_log_is_waited_for_a_second_in_all() {
        let (ours, _log) = UnixDatagram::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let begun = Instant::now();
        assert!(send_all(&ours, 100_000) < 100_000);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}
