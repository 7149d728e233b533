//! The daemon's signals. They are handled before the daemon is ready: a signal during a start or a reload is
//! queued.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The meaning of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// SIGTERM or SIGINT: stop.
    Stop,
    /// SIGUSR2: stop, and leave enforcement to the kernel and the next daemon.
    Leave,
    /// SIGHUP: reload the configuration.
    Reread,
    /// SIGUSR1: log a summary.
    Summary,
}

/// The signal listeners.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    summary: Signal,
    leave: Signal,
}

impl Signals {
    /// Starts listening.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            summary: signal(SignalKind::user_defined1())?,
            leave: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next signal.
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
