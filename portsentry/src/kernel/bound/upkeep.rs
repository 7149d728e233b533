//! Keeps the table of bound ports in step with the sockets.

use std::{
    collections::BTreeSet,
    io,
    path::PathBuf,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use portsentry_common::bound::{Horizon, PER_SECOND, stamp};

use super::{Bound, Devices, Sockets};
use crate::{
    kernel::{Error, Hooks, clock::monotonic_ns, pins},
    policy::trouble::{News, Trouble},
};

/// Interval between dumps of the sockets with hooks, and without them.
const BESIDE_HOOKS: Duration = Duration::from_secs(2);
const ALONE: Duration = Duration::from_secs(1);
/// Interval of checks whether another program steers packets to sockets here.
const STEERING: Duration = Duration::from_millis(250);

/// The sockets that list bound ports and devices. They must be opened with all privileges, because the kernel may
/// load modules for them.
#[derive(Debug)]
pub struct Source {
    sockets: Sockets,
    devices: Devices,
}

impl Source {
    /// Opens the sockets, and lists bound sockets once.
    pub fn open(ephemeral: (u16, u16)) -> io::Result<Self> {
        let mut sockets = Sockets::open(ephemeral)?;
        sockets.list()?;
        Ok(Self { sockets, devices: Devices::open()? })
    }
}

/// Maintains the table.
pub struct Upkeep {
    bound: Bound,
    source: Source,
    hooks: Hooks,
    /// Directory of the pinned links of watched interfaces.
    links: PathBuf,
    grace: u32,
    traps: [u32; 4],
    /// The last published horizon.
    horizon: Horizon,
    trouble: Trouble,
}

impl Upkeep {
    /// Starts: dumps sockets once, for the `watched` interfaces, to which the program isn't attached yet. `traps` are
    /// the ports of the daemon's own traps, `grace` is `SERVED_GRACE`.
    pub fn start(
        (bound, hooks): (Bound, Hooks),
        source: Source,
        pins: &pins::Pins,
        watched: impl IntoIterator<Item = u32>,
        (grace, traps): (Duration, [u32; 4]),
    ) -> Result<Self, Error> {
        let grace = u32::try_from(grace.as_secs()).unwrap_or(u32::MAX).saturating_mul(PER_SECOND);
        let horizon = Horizon { traps, ..Horizon::NONE };
        let links = pins.links_directory();
        let mut upkeep =
            Self { bound, source, hooks, links, grace, traps, horizon, trouble: Trouble::default() };
        upkeep.dump(&watched.into_iter().collect(), true)?;
        Ok(upkeep)
    }

    /// Dumps sockets repeatedly until the other end of `pokes` is dropped. Also dumps them whenever `pokes` reports
    /// changed devices. Passes messages for the log to `tell`.
    pub fn run(mut self, pokes: &Receiver<()>, tell: impl Fn(String)) {
        let mut dumped = Instant::now();
        loop {
            let interval = if self.hooks.are_trusted() { BESIDE_HOOKS } else { ALONE };
            let is_poked = match pokes.recv_timeout(STEERING) {
                Ok(()) => true,
                Err(RecvTimeoutError::Timeout) if dumped.elapsed() < interval => {
                    self.look_for_steering(&tell);
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => {
                    // The hooks end with this thread: from now on a port without a stamp may be bound.
                    self.distrust(&tell);
                    return;
                }
            };
            while pokes.try_recv().is_ok() {}
            dumped = Instant::now();
            let watched = pins::links_in(&self.links).collect();
            match self.dump(&watched, is_poked) {
                // That services are found again by hooks needs no line.
                Ok(None) => drop(self.trouble.note(None)),
                Ok(Some(news)) => tell(news),
                Err(error) => {
                    let problem = format!("{error}; until then services are found by look-ups only");
                    if let Some(News::Begun(problem)) = self.trouble.note(Some(problem)) {
                        tell(problem);
                    }
                }
            }
        }
    }

    /// Stops treating ports without a stamp as unbound if another program steers packets to sockets, until the next
    /// list of sockets.
    fn look_for_steering(&mut self, tell: &impl Fn(String)) {
        if self.horizon.is_complete != 0 && !self.hooks.tell_all(self.own()) {
            self.distrust(tell);
        }
    }

    /// Publishes that a port without a stamp may accept packets.
    fn distrust(&mut self, tell: &impl Fn(String)) {
        self.horizon.is_complete = 0;
        if let Err(error) = self.bound.publish(&self.horizon) {
            tell(error.to_string());
        }
    }

    /// Number of the daemon's own steering programs: one if there are traps.
    fn own(&self) -> u32 {
        self.traps.iter().any(|port| *port != 0).into()
    }

    /// Stamps the bound ports, and publishes the stamps that count. Returns a message for the log, if any.
    fn dump(&mut self, watched: &BTreeSet<u32>, has_changed: bool) -> Result<Option<String>, Error> {
        let system = |what| move |source| Error::System { what, source };
        // Read before the sockets, so that the next dump includes a later bind.
        let now = stamp(monotonic_ns().unsigned_abs());
        let sockets = self.source.sockets.list().map_err(system("listing bound sockets"))?;
        if has_changed || sockets.iter().any(|socket| socket.device != 0) {
            let above = self.source.devices.read(watched).map_err(system("listing network devices"))?;
            self.bound.set_devices(above)?;
        }
        let unseen = self.bound.stamp(&sockets, now, self.horizon.bound)?;
        // A bind to an ephemeral port need not be seen.
        let unseen = unseen.into_iter().find(|port| !self.source.sockets.is_ephemeral(*port));
        let mut news = None;
        if self.horizon.is_complete != 0 {
            news = unseen.and_then(|port| self.hooks.distrust(port));
        }
        let interval = if self.hooks.are_trusted() { BESIDE_HOOKS } else { ALONE };
        // A stamp is at most as old as the previous dump.
        let interval = u32::try_from(interval.as_secs() + 1).unwrap_or(u32::MAX) * PER_SECOND;
        self.horizon = Horizon {
            open: now.saturating_sub(self.grace.saturating_add(interval)),
            // Never resets, because a TCP port may be bound long before its socket listens, and until then no list
            // includes it.
            bound: 0,
            dumped: now,
            is_complete: self.hooks.tell_all(self.own()).into(),
            traps: self.traps,
            ..Horizon::NONE
        };
        self.bound.publish(&self.horizon)?;
        Ok(news)
    }
}
