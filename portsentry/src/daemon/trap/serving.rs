//! The thread that serves the traps: accepts connections and datagrams, sends the banner, and reports visits to the
//! keeper.
//!
//! Everything that has arrived is handled together, and then the thread pauses, so that thousands of visits per
//! second take few wake-ups. The first visit after a quiet time is handled at once.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{fd::AsFd, unix::net::UnixStream},
    sync::mpsc::{SyncSender, TrySendError},
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use portsentry_common::classify::Protocol;

use super::{
    super::message::{Message, Visit},
    datagram,
    guest::Guest,
};
use crate::{
    kernel::{self, handshake},
    policy::Banner,
};

/// Maximum number of open connections. Further ones wait in the listener's queue.
const AT_ONCE: usize = 1024;
/// Datagrams received at a time from one socket.
const DATAGRAMS: usize = 1024;
/// Pause after visits.
const PAUSE: Duration = Duration::from_millis(4);
/// Initial and maximum interval between checks of open connections, and between attempts to report visits to a busy
/// keeper.
const LOOKS_MS: [u8; 2] = [4, 64];

/// The thread, which ends when this is dropped.
#[derive(Debug)]
pub struct Serving {
    /// The thread holds the other end, and ends when this one is closed.
    alive: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Serving {
    pub(super) fn start(server: Server) -> io::Result<Self> {
        let (alive, other) = UnixStream::pair()?;
        let thread = thread::Builder::new().name("traps".into()).spawn(move || server.run(&other))?;
        Ok(Self { alive: Some(alive), thread: Some(thread) })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.alive = None;
        // A panic of the thread has been printed.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The traps, and their open connections.
pub(super) struct Server {
    tcp: Vec<TcpListener>,
    udp: Vec<UdpSocket>,
    banner: Banner,
    keeper: SyncSender<Message>,
    guests: Vec<Guest>,
    /// Connections that the keeper doesn't know yet. Their sources are always blocked, so none is dropped.
    unreported: Vec<Visit>,
    /// Datagrams dropped because the keeper was behind.
    lost: u64,
}

impl Server {
    pub(super) const fn new(
        tcp: Vec<TcpListener>,
        udp: Vec<UdpSocket>,
        banner: Banner,
        keeper: SyncSender<Message>,
    ) -> Self {
        Self { tcp, udp, banner, keeper, guests: Vec::new(), unreported: Vec::new(), lost: 0 }
    }

    fn run(mut self, alive: &UnixStream) {
        let mut look = LOOKS_MS[0];
        while self.wait(alive, look) {
            let is_visited = self.accept() | self.receive();
            self.report();
            self.see_off();
            look = if is_visited { LOOKS_MS[0] } else { LOOKS_MS[1].min(look * 2) };
            if is_visited {
                thread::sleep(PAUSE);
            }
        }
    }

    /// Waits for a visit, or until open connections must be checked. Returns `false` if the thread must end.
    fn wait(&self, alive: &UnixStream, look: u8) -> bool {
        let listeners = self.tcp.iter().filter(|_| self.accepts()).map(AsFd::as_fd);
        let sockets = listeners.chain(self.udp.iter().map(AsFd::as_fd));
        let mut ready: Vec<PollFd<'_>> =
            [alive.as_fd()].into_iter().chain(sockets).map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let is_idle = self.guests.is_empty() && self.unreported.is_empty() && self.lost == 0;
        let limit = if is_idle { PollTimeout::NONE } else { PollTimeout::from(look) };
        match poll(&mut ready, limit) {
            Ok(_) => ready.first().and_then(PollFd::any) != Some(true),
            Err(errno) => {
                // Out of memory, if not interrupted.
                if errno != nix::Error::EINTR {
                    thread::sleep(Duration::from_millis(LOOKS_MS[1].into()));
                }
                true
            }
        }
    }

    /// Whether there is room for a connection, and the keeper keeps up.
    const fn accepts(&self) -> bool {
        self.guests.len() < AT_ONCE && self.unreported.is_empty()
    }

    /// Accepts all waiting connections. Returns whether there were any.
    fn accept(&mut self) -> bool {
        let Self { tcp, guests, unreported, banner, .. } = self;
        let before = unreported.len();
        if before > 0 {
            return false;
        }
        for listener in tcp {
            while guests.len() < AT_ONCE {
                match listener.accept() {
                    Ok((stream, source)) => {
                        // The destination that the source addressed, because the kernel did not change it.
                        let Ok(destination) = stream.local_addr() else { continue };
                        unreported.push(connection(&stream, source, destination));
                        guests.extend(Guest::welcome(stream, banner.text()));
                    }
                    // A connection that was closed meanwhile, or too many open files: neither ends the trap.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(_) => break,
                }
            }
        }
        unreported.len() > before
    }

    /// Receives and answers all waiting datagrams. Returns whether there were any.
    fn receive(&mut self) -> bool {
        let Self { udp, banner, .. } = self;
        let mut visits = Vec::new();
        for socket in udp {
            let received = (0..DATAGRAMS).map_while(|_| datagram::receive(socket).ok());
            for (source, destination, length) in received.flatten() {
                visits.push(visit(source, destination, Protocol::Udp, false));
                let now_ns = kernel::monotonic_ns().unsigned_abs();
                // Losing an answer is like losing a packet.
                let _ = datagram::answer(source, destination, banner.answer(length, now_ns));
            }
        }
        let count = visits.len() as u64;
        if count > 0 && self.keeper.try_send(Message::Visits(visits)).is_err() {
            self.lost += count;
        }
        count > 0
    }

    /// Reports connections, or keeps them for later if the keeper is busy, and reports the number of dropped
    /// datagrams.
    fn report(&mut self) {
        if !self.unreported.is_empty() {
            let visits = std::mem::take(&mut self.unreported);
            if let Err(TrySendError::Full(Message::Visits(visits))) =
                self.keeper.try_send(Message::Visits(visits))
            {
                self.unreported = visits;
            }
        }
        if self.lost > 0 && self.keeper.try_send(Message::Lost(self.lost)).is_ok() {
            self.lost = 0;
        }
    }

    /// Closes connections that have ended, or lasted too long.
    fn see_off(&mut self) {
        let now = Instant::now();
        let text = self.banner.text();
        self.guests.retain_mut(|guest| guest.stays(text, now));
    }
}

fn connection(stream: &TcpStream, source: SocketAddr, destination: SocketAddr) -> Visit {
    visit(source, destination, Protocol::Tcp, handshake::is_awaited(stream))
}

fn visit(source: SocketAddr, destination: SocketAddr, protocol: Protocol, is_proof: bool) -> Visit {
    Visit { time: SystemTime::now(), source, destination, protocol, is_proof }
}
