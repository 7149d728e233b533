//! Due times of the periodic tasks.

use std::time::{Duration, Instant, SystemTime};

use crate::{config::Config, kernel, policy::Awaited};

/// Share of the time that each of the larger tasks may take: one part in this many.
const SHARE: u32 = 20;
/// Files are written again within this time, unless writing takes long.
const SOON: Duration = Duration::from_millis(200);
/// Time for which a key makes cookies. It checks cookies for as long again.
const RENEWAL: Duration = Duration::from_hours(1);
/// Interval at which the gates' bits are counted.
const LOOK: Duration = Duration::from_secs(10);

/// Due times of the periodic tasks.
#[derive(Debug)]
pub(super) struct Schedule {
    flush: Instant,
    sweep: Instant,
    renewal: Instant,
    look: Instant,
    challenges: bool,
    /// Number of set bits in the gates at their last renewal.
    pub gate_bits: usize,
    /// Start of the kernel's clock, measured by the wall clock as set at the register's last update.
    pub clock_origin: SystemTime,
    /// The sources whose verdict awaits answers.
    pub awaited: Awaited,
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
            awaited: Awaited::default(),
        }
    }

    /// Makes the writing of files due.
    pub(super) fn flush_now(&mut self) {
        self.flush = Instant::now();
    }

    /// Makes the search of the maps due.
    pub(super) fn sweep_now(&mut self) {
        self.sweep = Instant::now();
    }

    pub(super) fn may_flush(&self, now: Instant) -> bool {
        now >= self.flush
    }

    /// Records that files were written since `begin`. Large files are delayed so that writing takes at most its
    /// [`SHARE`] of the time. Small ones are due soon, even on a slow disk.
    pub(super) fn flushed(&mut self, begin: Instant) {
        self.flush = after(begin).min(Instant::now() + SOON.max(begin.elapsed() * 4));
    }

    pub(super) fn may_sweep(&self, now: Instant) -> bool {
        now >= self.sweep
    }

    /// Records that the maps were searched since `begin`.
    pub(super) fn swept(&mut self, begin: Instant) {
        self.sweep = after(begin);
    }

    /// Whether a new key for cookies is due. Resets the due time if so.
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

    /// Records that the gates were counted, or renewed, since `begin`.
    pub(super) fn looked(&mut self, begin: Instant) {
        self.look = after(begin).max(begin + LOOK);
    }
}

/// Returns the start of the kernel's clock, measured by the wall clock as currently set.
pub(super) fn clock_origin() -> SystemTime {
    kernel::wall_time(0)
}

/// Returns the earliest time for the next run of a task that started at `begin` and ends now.
fn after(begin: Instant) -> Instant {
    Instant::now() + begin.elapsed() * (SHARE - 1)
}
