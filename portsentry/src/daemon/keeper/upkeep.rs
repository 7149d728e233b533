//! What the keeper does now and then: sources whose time is over, those that nobody told of, files, keys and gates.

use std::time::{Duration, Instant};

use portsentry_common::counter::Counter;

use super::{super::notify, Keeper};
use crate::kernel;

/// One part of the time in so many is what each of these may take.
const SHARE: u32 = 20;
/// Lines of `hosts.deny` that are logged one by one each time that it is written.
const DENIED: usize = 500;
/// Within this time files are written again unless that takes long.
const SOON: Duration = Duration::from_millis(200);
/// How long a key makes cookies. It checks them for as long again.
pub(super) const RENEWAL: Duration = Duration::from_hours(1);
/// How often the gates' bits are counted.
pub(super) const LOOK: Duration = Duration::from_secs(10);
/// Stale bits that do no harm: one source in 64 meets one.
const FEW: usize = 1 << 18;

impl Keeper {
    /// Does what is due.
    pub(super) fn on_tick(&mut self) {
        if let Err(error) = self.kernel.beat() {
            self.journal.error(&error);
        }
        self.lift_over();
        if let Err(error) = self.forget_surplus() {
            self.journal.error(&error);
        }
        if self.challenges && Instant::now() >= self.next_renewal {
            self.next_renewal = Instant::now() + RENEWAL;
            if let Err(error) = self.kernel.renew_secrets() {
                self.journal.error(&error);
            }
        }
        if let Err(error) = self.sweep() {
            self.journal.error(&error);
        }
        if let Err(error) = self.renew_gates() {
            self.journal.error(&error);
        }
        if self.attachments.is_due() {
            self.follow_interfaces();
        }
        self.keep_pins();
        self.flush();
        self.tell_status();
    }

    /// Looks after the pins, and says once what is wrong with them.
    fn keep_pins(&mut self) {
        match self.kernel.keep_pins() {
            Ok(true) => self.pins_trouble = None,
            Ok(false) => self.pinned.notify_one(),
            Err(error) => {
                let trouble = error.to_string();
                if self.pins_trouble.as_ref() != Some(&trouble) {
                    self.journal.error(&trouble);
                    self.pins_trouble = Some(trouble);
                }
            }
        }
    }

    /// Tells the supervisor what there is to see, when it is something else than before.
    fn tell_status(&mut self) {
        let sources = self.ledger.len();
        let (watched, lacking) = (self.attachments.watched().len(), self.attachments.lacking().len());
        let lacking = if lacking == 0 { String::new() } else { format!(" ({lacking} can't be)") };
        let status = format!("Watching {watched} interfaces{lacking}, {sources} sources blocked or fenced");
        if status != self.status {
            notify::status(&status);
            self.status = status;
        }
        self.journal.tick();
        self.show();
    }

    /// Finds blocks that the kernel made and whose events were not told, and reports what the ring left out. Large maps
    /// are searched so seldom that it takes its [`SHARE`] of the time at the most.
    fn sweep(&mut self) -> Result<(), kernel::Error> {
        let counters = self.kernel.counters()?;
        let grown = |counter: Counter| counters.get(counter).wrapping_sub(self.counted.get(counter));
        let (over_rate, ring_full) = (grown(Counter::OverRate), grown(Counter::RingFull));
        self.counted = counters;
        self.untold += over_rate + ring_full;
        let over_rate = over_rate + self.tell_left_out();
        if over_rate > 0 {
            self.journal.over_rate(over_rate);
        }
        if ring_full > 0 {
            self.journal.ring_full(ring_full);
        }
        let begin = Instant::now();
        if self.untold > 0 && begin >= self.next_sweep {
            if self.record_unrecorded()? {
                self.untold = 0;
            }
            self.next_sweep = after(begin);
        }
        Ok(())
    }

    /// Writes the files that need it, and marks in the map what they show now. Large files are written so seldom
    /// that it takes its [`SHARE`] of the time at the most; small ones soon, also on a slow disk.
    pub(super) fn flush(&mut self) {
        let begin = Instant::now();
        if begin < self.next_flush {
            return;
        }
        let done = self.files.flush(&self.ledger);
        for news in done.news {
            self.journal.news(&news);
        }
        for denied in done.denied.iter().take(DENIED) {
            self.journal.denied(denied.source, &denied.line);
        }
        if done.denied.len() > DENIED {
            self.journal.denied_more(done.denied.len() - DENIED);
        }
        for source in done.shown {
            if let Err(error) = self.mark(source) {
                self.journal.error(&error);
            }
        }
        self.stats.count_denied(done.denied.len());
        self.on_denied();
        self.next_flush = after(begin).min(Instant::now() + SOON.max(begin.elapsed() * 4));
        if done.is_edited {
            self.on_blocked_file();
        }
    }

    /// Drops the gates' stale bits when there are more of them than others: behind each, honest packets cost look-ups, and
    /// a flood of forged sources leaves many.
    fn renew_gates(&mut self) -> Result<(), kernel::Error> {
        let begin = Instant::now();
        if begin < self.next_look {
            return Ok(());
        }
        if self.kernel.gate_bits() > 2 * self.gate_bits + FEW {
            self.kernel.renew_gates()?;
            self.gate_bits = self.kernel.gate_bits();
        }
        self.next_look = after(begin).max(begin + LOOK);
        Ok(())
    }
}

/// When it may begin again what began at `begin` and is done now.
fn after(begin: Instant) -> Instant {
    Instant::now() + begin.elapsed() * (SHARE - 1)
}
