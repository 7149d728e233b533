//! The signals that the daemon listens to, from before it says that it is there: one that comes while it starts or
//! changes its configuration waits.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// SIGTERM or SIGINT: stop.
    Stop,
    /// SIGUSR2: stop, and leave enforcement to the kernel and to the next daemon.
    Leave,
    /// SIGHUP: read the configuration again.
    Reread,
    /// SIGUSR1: log a summary.
    Summary,
}

/// The listeners.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    summary: Signal,
    leave: Signal,
}

impl Signals {
    /// Begins to listen.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            summary: signal(SignalKind::user_defined1())?,
            leave: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reread,
            _ = self.summary.recv() => Asked::Summary,
            _ = self.leave.recv() => Asked::Leave,
        }
    }
}
