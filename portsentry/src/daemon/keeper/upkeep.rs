//! Periodic tasks of the keeper: expired and unreported sources, files, keys and gates.

use std::time::Instant;

use portsentry_common::counter::Counter;

use super::Keeper;
use crate::kernel;

/// Maximum number of lines of `hosts.deny` that are logged one by one at each write.
const DENIED: usize = 500;
/// Number of stale bits that do no harm: they affect one source in 64.
const FEW: usize = 1 << 18;

impl Keeper {
    /// Runs the tasks that are due.
    pub(super) fn on_tick(&mut self) {
        if let Err(error) = self.kernel.beat() {
            self.journal.error(&error);
        }
        self.lift_over();
        self.judge_awaited();
        self.tick_fleet();
        if let Err(error) = self.forget_surplus() {
            self.journal.error(&error);
        }
        if self.schedule.is_renewal_due()
            && let Err(error) = self.kernel.renew_secrets()
        {
            self.journal.error(&error);
        }
        if let Err(error) = self.sweep() {
            self.journal.error(&error);
        }
        if let Err(error) = self.count_lists() {
            self.journal.error(&error);
        }
        if let Err(error) = self.renew_gates() {
            self.journal.error(&error);
        }
        self.promote_lasting();
        if self.attachments.is_due() {
            self.follow_interfaces();
        }
        if self.attachments.is_look_due() {
            let Self { attachments, kernel, journal, .. } = self;
            attachments.look_after_outgoing(kernel, journal);
        }
        if let Some(problem) = self.pins.keep(&self.kernel) {
            self.journal.error(&problem);
        }
        self.flush();
        self.keep_groups(false);
        self.tell_status();
    }

    /// Sends the status to the supervisor, if it has changed.
    fn tell_status(&mut self) {
        let sources = self.register.ledger().len();
        let (watched, lacking) = (self.attachments.watched().len(), self.attachments.lacking().len());
        let lacking = if lacking == 0 { String::new() } else { format!(" ({lacking} can't be)") };
        let mode = self.totals.enforcement();
        self.outside.set_status(format!(
            "{mode}; watching {watched} interfaces{lacking}, {sources} sources blocked or fenced"
        ));
        self.journal.tick();
        self.show();
    }

    /// Records blocks whose events were suppressed, and logs the number of events that the ring dropped. Large maps
    /// are searched at longer intervals, to limit their share of the time.
    fn sweep(&mut self) -> Result<(), kernel::Error> {
        let counters = self.kernel.counters()?;
        let grown = |counter: Counter| counters.get(counter).wrapping_sub(self.totals.counted.get(counter));
        let (over_rate, ring_full) = (grown(Counter::OverRate), grown(Counter::RingFull));
        self.totals.counted = counters;
        self.totals.untold += over_rate + ring_full;
        let over_rate = over_rate + self.tell_left_out();
        if over_rate > 0 {
            self.journal.over_rate(over_rate);
        }
        if ring_full > 0 {
            self.journal.ring_full(ring_full);
        }
        let begin = Instant::now();
        if self.totals.untold > 0 && self.schedule.may_sweep(begin) {
            if self.record_unreported()? {
                self.totals.untold = 0;
            }
            self.schedule.swept(begin);
        }
        Ok(())
    }

    /// Writes pending changes of files, and marks the shown entries in the map.
    pub(super) fn flush(&mut self) {
        let begin = Instant::now();
        if !self.schedule.may_flush(begin) {
            return;
        }
        // Written first, so that they survive the daemon's death before the next file.
        let news = self.files.flush_ids(self.register.ids());
        let done = self.files.flush(self.register.ledger());
        let of_fleet = self.outside.fleet.flush();
        for news in news.into_iter().chain(of_fleet).chain(done.news) {
            self.journal.news(&news);
        }
        for denied in done.denied.iter().take(DENIED) {
            let id = self.register.ids().get(denied.network);
            self.journal.denied((denied.network, id), &denied.line);
        }
        if done.denied.len() > DENIED {
            self.journal.denied_more(done.denied.len() - DENIED);
        }
        for network in done.shown {
            if let Err(error) = self.mark(network) {
                self.journal.error(&error);
            }
        }
        self.totals.stats.count_denied(done.denied.len());
        self.on_denied();
        self.schedule.flushed(begin);
        if done.is_edited {
            self.on_blocked_file();
        }
    }

    /// Clears the gates' stale bits when they outnumber the others. Each one costs honest packets look-ups, and a
    /// flood of spoofed sources leaves many.
    fn renew_gates(&mut self) -> Result<(), kernel::Error> {
        let begin = Instant::now();
        if !self.schedule.may_look(begin) {
            return Ok(());
        }
        if self.kernel.gate_bits() > 2 * self.schedule.gate_bits + FEW {
            self.kernel.renew_gates()?;
            self.schedule.gate_bits = self.kernel.gate_bits();
        }
        self.schedule.looked(begin);
        Ok(())
    }
}
