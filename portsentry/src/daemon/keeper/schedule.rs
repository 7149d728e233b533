//! When what is done now and then is due again.

use std::time::{Duration, Instant, SystemTime};

use crate::{config::Config, kernel};

/// One part of the time in so many is what each of the larger tasks may take.
const SHARE: u32 = 20;
/// Within this time files are written again unless that takes long.
const SOON: Duration = Duration::from_millis(200);
/// How long a key makes cookies. It checks them for as long again.
const RENEWAL: Duration = Duration::from_hours(1);
/// How often the gates' bits are counted.
const LOOK: Duration = Duration::from_secs(10);

/// When what is done now and then is due again.
#[derive(Debug)]
pub(super) struct Schedule {
    flush: Instant,
    sweep: Instant,
    renewal: Instant,
    look: Instant,
    challenges: bool,
    /// Bits of the gates that were set when they were last renewed.
    pub gate_bits: usize,
    /// When the kernel's clock began, by the wall clock as it was set when the register was last told.
    pub clock_origin: SystemTime,
}

impl Schedule {
    pub(super) fn new(config: &Config) -> Self {
        let now = Instant::now();
        Self {
            flush: now,
            sweep: now,
            renewal: now + RENEWAL,
            look: now + LOOK,
            challenges: config.challenge,
            gate_bits: 0,
            clock_origin: clock_origin(),
        }
    }

    /// Has the files be written at the next chance.
    pub(super) fn flush_now(&mut self) {
        self.flush = Instant::now();
    }

    /// Has the maps be searched at the next chance.
    pub(super) fn sweep_now(&mut self) {
        self.sweep = Instant::now();
    }

    pub(super) fn may_flush(&self, now: Instant) -> bool {
        now >= self.flush
    }

    /// Files were written since `begin`: large ones so seldom that it takes its [`SHARE`] of the time at the most, small
    /// ones soon, also on a slow disk.
    pub(super) fn flushed(&mut self, begin: Instant) {
        self.flush = after(begin).min(Instant::now() + SOON.max(begin.elapsed() * 4));
    }

    pub(super) fn may_sweep(&self, now: Instant) -> bool {
        now >= self.sweep
    }

    /// The maps were searched since `begin`.
    pub(super) fn swept(&mut self, begin: Instant) {
        self.sweep = after(begin);
    }

    /// Whether a fresh key for cookies is due; it then no longer is.
    pub(super) fn is_renewal_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.challenges && now >= self.renewal;
        if is_due {
            self.renewal = now + RENEWAL;
        }
        is_due
    }

    pub(super) fn may_look(&self, now: Instant) -> bool {
        now >= self.look
    }

    /// The gates were looked at, or renewed, since `begin`.
    pub(super) fn looked(&mut self, begin: Instant) {
        self.look = after(begin).max(begin + LOOK);
    }
}

/// When the kernel's clock began, by the wall clock as it is set now.
pub(super) fn clock_origin() -> SystemTime {
    kernel::wall_time(0)
}

/// When it may begin again what began at `begin` and is done now.
fn after(begin: Instant) -> Instant {
    Instant::now() + begin.elapsed() * (SHARE - 1)
}
